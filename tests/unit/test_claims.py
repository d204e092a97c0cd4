"""Claims: every verdict, and cases without an interval."""

import math
from types import SimpleNamespace

import pytest
import result

from convlab.config import load_params
from convlab.errors import InputError
from convlab.results import Plan, claims
from convlab.schema import Claim

PLANS = {"sweep/a": Plan(40, False), "sweep/b": Plan(40, False)}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def put(a=(), b=(), seeds_b=None, epochs=40, images=None):
    rows = [made("a", 1 + index, test, epochs, images) for index, test in enumerate(a)]
    seeds = seeds_b or range(1, 1 + len(b))
    result.put(rows + [made("b", seed, test, epochs, images) for seed, test in zip(seeds, b, strict=True)])


def made(name, seed, test, epochs=40, images=None, of="sweep", device="a CPU", **more):
    scores = {"loss": 1 - test, "accuracy": test}
    splits = {"train": {"loss": 0.0, "accuracy": 1.0}, "validation": scores}
    splits["test"] = {**scores, "images": images}
    norms = {"kernel_norm": 10 * test, "weight_norm": 100 * test}
    where = {"environment": {"device_name": device}}
    return result.training(of, seed, name, epochs=epochs, **where, **norms, **splits, **more)


def claim(relation="above", margin=0.0, metric="test_accuracy"):
    return Claim(
        report="R0", says="a is so", metric=metric, a="sweep/a", relation=relation, b="sweep/b", margin=margin
    )


def settings(scaling="unit"):
    return SimpleNamespace(dataset="mnist", init="torch", batch_norm="torch", preprocess=scaling)


def judge(*arguments, plans=PLANS, experiments=None, **more):
    experiments = dict.fromkeys(plans, settings()) | (experiments or {})
    return claims.judge("name", claim(*arguments, **more), plans, experiments)


@pytest.mark.parametrize(
    ("relation", "margin", "low", "high", "verdict"),
    [
        ("above", 0.0, 0.1, 0.3, "confirmed"),
        ("above", 0.0, -0.3, -0.1, "refuted"),
        ("above", 0.0, -0.1, 0.1, "inconclusive"),
        ("above", 0.2, 0.1, 0.3, "inconclusive"),
        ("above", 0.4, 0.1, 0.3, "refuted"),
        ("above", 0.0, 0.0, 0.0, "inconclusive"),
        ("below", 0.0, -0.3, -0.1, "confirmed"),
        ("below", 0.0, 0.1, 0.3, "refuted"),
        ("below", 0.0, -0.1, 0.1, "inconclusive"),
        ("below", 0.4, -0.3, -0.1, "refuted"),
        ("not_above", 0.0, -0.3, -0.1, "confirmed"),
        ("not_above", 0.2, -0.1, 0.2, "confirmed"),
        ("not_above", 0.2, 0.1, 0.3, "inconclusive"),
        ("not_above", 0.2, 0.25, 0.3, "refuted"),
        ("same", 0.2, -0.1, 0.2, "confirmed"),
        ("same", 0.2, 0.25, 0.3, "refuted"),
        ("same", 0.2, -0.3, -0.25, "refuted"),
        ("same", 0.2, 0.1, 0.3, "inconclusive"),
        ("same", 0.2, -0.5, 0.5, "inconclusive"),
    ],
)
def test_the_verdict_is_what_the_whole_interval_says(relation, margin, low, high, verdict):
    assert claims.decide(relation, margin, low, high) == verdict


@pytest.mark.parametrize(
    ("device", "reason"),
    [("a CPU", ""), ("a GPU", "different hardware or number of parallel trainings")],
)
def test_seconds_are_compared_on_the_same_hardware_alone(device, reason):
    a = [made("a", seed, 0.9) for seed in (1, 2, 3)]
    b = [made("b", seed, 0.9, device=device) for seed in (1, 2, 3)]
    seconds = {"a": [4.0, 4.1, 4.2], "b": [2.0, 2.1, 2.0]}
    clocks = {
        f"{one['name']} {one['seed']}": result.clock(one, epoch_seconds=[90.0, 1.0, seconds[one["name"]][n]])
        for rows in (a, b)
        for n, one in enumerate(rows)
    }
    result.put([*a, *b], timing=clocks)
    judged = judge(metric="epoch_seconds")
    assert judged["difference"] == pytest.approx(6.2 / 3, rel=1e-5), "of medians: a slow first epoch is none"
    assert (judged["verdict"], judged["reason"]) == ("inconclusive" if reason else "confirmed", reason)


def test_equal_seeds_are_paired():
    put(a=[0.90, 0.80, 0.70], b=[0.88, 0.79, 0.69])  # far apart between seeds, near within one
    judged = judge()
    # differences 0.02, 0.01, 0.01: mean 4/300, sd/√3 = 1/300, t(0.975; 2) = 4.30265
    assert judged["difference"] == pytest.approx(4 / 300, rel=1e-5)
    assert judged["interval"] == pytest.approx([(4 - 4.30265) / 300, (4 + 4.30265) / 300], rel=1e-4)
    assert (judged["n"], judged["verdict"]) == (3, "inconclusive")


def test_an_unknown_relation_is_refused():
    with pytest.raises(AssertionError):
        claims.decide("near", 0.0, 0.1, 0.2)


def test_other_seeds_are_compared_as_groups():
    put(a=[0.90, 0.80, 0.70], b=[0.88, 0.79, 0.69], seeds_b=[11, 12, 13])
    low, high = judge()["interval"]
    assert low < -0.2
    assert high > 0.2


def test_groups_of_different_sizes_use_all_seeds():
    put(a=[0.90, 0.80, 0.70, 0.85], b=[0.88, 0.79, 0.69], seeds_b=[11, 12, 13])
    judged = judge()
    assert (judged["n"], judged["reason"]) == (3, "")


def test_only_pairs_count_where_a_seed_is_missing():
    put(a=[0.90, 0.80, 0.10], b=[0.88, 0.79])
    judged = judge()
    assert judged["n"] == 2
    assert judged["difference"] == pytest.approx(0.015)
    pooled = "n = 2: standard deviation pooled over sweep, 3 degrees of freedom"
    assert judged["reason"] == f"{pooled}; 2 of 3 seeds on both sides"


def test_one_seed_has_no_interval_and_no_verdict():
    put(a=[0.9], b=[0.8])
    judged = judge()
    assert judged["interval"] is None
    assert judged["difference"] == pytest.approx(0.1)
    assert judged["verdict"] == "inconclusive"
    assert "| +10.00 | 1 | 40 | inconclusive (n = 1: no interval) |" in claims.table([judged])


@pytest.mark.parametrize("seeds", [[1, 2], [8, 9]])
def test_equal_differences_have_no_spread_to_judge_by(seeds):
    put(a=[0.75, 0.75], b=[0.5, 0.5], seeds_b=seeds)
    judged = judge()
    assert judged["interval"] is None
    assert (judged["verdict"], judged["reason"]) == ("inconclusive", "the standard deviation over seeds is 0")
    put(a=[0.3, 0.4], b=[0.1, 0.2], seeds_b=[1, 2])  # 0.3 - 0.1 and 0.4 - 0.2 differ in their last bit
    assert judge()["interval"] is None


def test_the_images_are_in_doubt_too():
    put(a=[0.75, 0.75], b=[0.5, 0.5], images=400)
    judged = judge()
    # two shares of 400: √(0.75·0.25/400 + 0.5·0.5/400) · 1.95996
    assert judged["interval"] == pytest.approx([0.25 - 0.064821, 0.25 + 0.064821], rel=1e-4)
    assert judged["verdict"] == "confirmed"
    put(a=[0.75, 0.75], b=[0.5, 0.5], images=16)  # equal seeds do not make sixteen images many
    assert judge()["verdict"] == "inconclusive"
    assert judge(metric="kernel_norm")["interval"] is None


def test_a_single_training_uses_the_largest_spread_on_its_data_set():
    put(a=[0.9], b=[0.8])
    for name, numbers in {
        "calm": [0.50, 0.51, 0.52],
        "restless": [0.5, 0.52, 0.54],
        "two": [0.1, 0.9],
    }.items():
        result.put([made("x", 1 + index, number, of=name) for index, number in enumerate(numbers)])
    plans = PLANS | dict.fromkeys(("calm/x", "restless/x", "two/x"), Plan(40, False))
    judged = judge(plans=plans)
    assert judged["borrowed_from"] == "restless/x"
    # sd 0.02, over √2 for both sides: 0.1 ± 4.30265 · 0.0282843
    assert judged["interval"] == pytest.approx([-0.021697, 0.221697], rel=1e-4)
    assert judged["reason"] == "n = 1: standard deviation of restless/x, n = 3"


def test_variants_of_one_experiment_use_its_spread_not_that_of_another_network():
    put(a=[0.9], b=[0.8])
    for name, numbers in {"network": [0.80, 0.81, 0.82], "restless": [0.5, 0.52, 0.54]}.items():
        result.put([made(name, 1 + index, number, of=name) for index, number in enumerate(numbers)])
    plans = dict.fromkeys(PLANS, Plan(40, False, base="network"))
    plans |= {name: Plan(40, False, base=name) for name in ("network", "restless")}
    assert judge(plans=plans)["borrowed_from"] == "network"
    plans["sweep/b"] = Plan(40, False, base="restless")
    assert judge(plans=plans)["borrowed_from"] == "restless"  # of two networks the larger


def test_trials_of_other_conventions_are_not_pooled():
    rows = [made("a", 1, 0.90), made("a", 2, 0.92), made("b", 1, 0.80), made("b", 2, 0.82)]
    rows += [made("c", 1, 0.50), made("c", 2, 0.52), made("raw", 1, 0.1), made("raw", 2, 0.9)]
    result.put(rows)
    plans = {f"sweep/{name}": Plan(40, False) for name in ("a", "b", "c", "raw")}
    judged = judge(plans=plans, experiments={"sweep/raw": settings("none")})
    assert judged["reason"] == "n = 2: standard deviation pooled over sweep, 3 degrees of freedom"
    assert judged["interval"] == pytest.approx([0.1 - 0.045007, 0.1 + 0.045007], rel=1e-4)


def test_a_network_that_has_not_learned_settles_nothing():
    own = {"seed": 1, "epochs": 40, "early_stopping": None, "dataset": "mnist"}
    rows = [made("a", seed, 0.88 + seed / 50, configuration=own | {"seed": seed}) for seed in (1, 2, 3)]
    rows += [made("b", seed, 0.09 + seed / 100, configuration=own | {"seed": seed}) for seed in (1, 2, 3)]
    result.put(rows)
    judged = judge()
    assert judged["interval"] is not None
    assert judged["verdict"] == "inconclusive"
    assert judged["reason"] == "sweep/b has not learned: 11.00% of the test images"


def test_two_seeds_are_judged_by_the_spread_of_their_study():
    put(a=[0.90, 0.92], b=[0.80, 0.82])
    assert judge()["verdict"] == "inconclusive"  # equal differences, and too few degrees of freedom
    rows = [made("a", 1 + index, test) for index, test in enumerate([0.90, 0.92])]
    rows += [made("b", 1 + index, test) for index, test in enumerate([0.80, 0.82])]
    rows += [made("c", 1 + index, test) for index, test in enumerate([0.50, 0.52])]
    rows += [made("chance", 1 + index, 0.1) for index in range(3)]
    result.put(rows)
    plans = {f"sweep/{name}": Plan(40, False) for name in ("a", "b", "c", "chance")}
    judged = judge(plans=plans)
    # √(3 · 0.0002 / 3) on three degrees of freedom: 0.1 ± 3.18245 · 0.0141421
    assert judged["interval"] == pytest.approx([0.1 - 0.045007, 0.1 + 0.045007], rel=1e-4)
    assert (judged["n"], judged["verdict"], judged["borrowed_from"]) == (2, "confirmed", None)
    assert judged["reason"] == "n = 2: standard deviation pooled over sweep, 3 degrees of freedom"


def test_a_shortened_side_is_not_judged_beside_a_whole_one():
    put(a=[0.9, 0.91], b=[0.8, 0.81])
    plans = {"sweep/a": Plan(80, False), "sweep/b": Plan(40, False)}
    judged = judge(plans=plans)
    assert (judged["verdict"], judged["reason"]) == ("inconclusive", "one side is shortened")


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("init", "init differs: keras and torch"),
        ("batch_norm", "batch_norm differs: keras and torch"),
        ("epochs", "epochs differs: 40 and 30"),
        ("precision", "precision differs: bf16 and fp32"),
    ],
)
def test_sides_of_other_conventions_or_epochs_are_not_judged(key, reason):
    one, other = reason.rpartition(": ")[2].split(" and ")
    sides = {"a": one, "b": other}
    rows = []
    for name, value in sides.items():
        stated = int(value) if value.isdigit() else value
        own = {"precision": stated} if key == "precision" else {}
        configuration = {"epochs": 40, key: stated} if key != "precision" else {"epochs": 40}
        for seed in (1, 2, 3):
            test = 0.9 if name == "a" else 0.5
            scores = {"loss": 0.1, "accuracy": test + seed / 1000}
            splits = dict.fromkeys(("train", "validation", "test"), scores)
            rows.append(
                result.training("sweep", seed, name, epochs=30, configuration=configuration, **own, **splits)
            )
    result.put(rows)
    judged = judge(plans={"sweep/a": Plan(30, False), "sweep/b": Plan(30, False)})
    assert (judged["verdict"], judged["reason"]) == ("inconclusive", reason)


def test_an_interval_of_losses_says_that_it_is_without_the_images():
    put(a=[0.90, 0.80, 0.70], b=[0.88, 0.79, 0.69])
    assert judge(metric="test_loss")["reason"] == "excluding the sampling error of the images"
    assert judge(metric="kernel_norm")["reason"] == ""
    assert judge()["reason"] == ""


def test_one_side_without_spread_still_has_an_interval():
    put(a=[0.75, 0.75], b=[0.5, 0.6], seeds_b=[8, 9])
    assert all(math.isfinite(end) for end in judge()["interval"])


@pytest.mark.parametrize(
    ("metric", "difference", "text"),
    [
        ("gap", -0.1, "-10.00"),
        ("test_loss", -0.1, "-0.1000"),
        ("kernel_norm", 1.0, "+1.00"),
        ("weight_norm", 10.0, "+10.00"),
        ("train_accuracy", 0, "+0.00"),
    ],
)
def test_every_metric_is_shown_in_its_own_unit(metric, difference, text):
    put(a=[0.9], b=[0.8])
    judged = judge(metric=metric)
    assert judged["difference"] == pytest.approx(difference)
    assert f"| {text} |" in claims.table([judged])


def test_what_has_not_run_is_not_run():
    put(a=[0.9])
    judged = judge()
    assert (judged["verdict"], judged["n"], judged["difference"]) == ("not run", 0, None)
    assert (judged["epochs_a"], judged["epochs_b"]) == (40, None)
    command = "dvc exp run -S 'run=[digits]' -S 'run_sweeps=[sweep]'"
    assert f"| – | – | 40 | not run (`{command}`) |" in claims.table([judged])


def test_what_stopped_a_trial_is_said():
    result.put([result.training("sweep", 1, "a", status="infeasible")])
    assert judge()["reason"] == "sweep/a is infeasible"


def test_a_shortened_training_gives_a_verdict_beside_its_epochs():
    put(a=[0.9, 0.91], b=[0.8, 0.805], epochs=3)
    judged = judge(plans=dict.fromkeys(PLANS, Plan(40, True)))
    assert judged["verdict"] == "confirmed"
    assert judged["shortened_a"]
    assert "| 2 | 3 of 40 | **confirmed** |" in claims.table([judged])


def test_the_table_counts_its_verdicts_and_shows_intervals_in_points():
    put(a=[0.90, 0.80, 0.70], b=[0.88, 0.79, 0.69])
    rows = [judge("same", 0.05), judge("below"), judge("above", 0.2)]
    made = claims.table(rows)
    assert "3 claims: 1 confirmed, 1 refuted, 1 inconclusive, 0 not run" in made
    assert "| R0 | a is so | test accuracy within ±5.00 | +1.33 [-0.10, +2.77] | 3 | 40 |" in made
    assert "| test accuracy above by 20.00 |" in made


def test_a_claim_on_an_unknown_result_is_one_line(tmp_path, request):
    root = request.config.rootpath
    (tmp_path / "params.yaml").write_text((root / "params.yaml").read_text())
    text = (root / "studies.yaml").read_text()
    assert "a: digits_l2/l2-0.001\n" in text
    (tmp_path / "studies.yaml").write_text(text.replace("a: digits_l2/l2-0.001\n", "a: digits_l3/l2-0.001\n"))
    with pytest.raises(
        InputError,
        match=r"^studies\.yaml: claims\.digits_l2_weight_norm\.a: found 'digits_l3/l2-0\.001' .*",
    ) as caught:
        load_params()
    assert "\n" not in str(caught.value)
