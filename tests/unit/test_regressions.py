"""`convlab check --against REV`: real files in a real git repository, and what is said of each change."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from repository import ROOT
from result import evaluation, put, scores_of, training

from convlab import cli, files
from convlab.errors import InputError
from convlab.pipeline.made_from import TrainingRecord
from convlab.results import regressions
from convlab.results.regressions import (
    EQUAL,
    FAILED,
    NEW,
    NOISE,
    REMOVED,
    ROSE,
    Change,
    Scored,
    against,
    interval,
)


def git(*arguments: str) -> None:
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    subprocess.run(["git", *identity, *arguments], check=True, capture_output=True)


@pytest.fixture(autouse=True)
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    git("init", "-q")
    git("commit", "-q", "--allow-empty", "-m", "start")
    return tmp_path


def experiment(name: str, *accuracies: float) -> None:
    facts = [
        training(name, seed, weights=f"of {accuracy}") for seed, accuracy in enumerate(accuracies, start=1)
    ]
    put(facts, [scored(one, accuracy) for one, accuracy in zip(facts, accuracies, strict=True)])


def scored(one: TrainingRecord, accuracy: float) -> TrainingRecord:
    return evaluation(one, **scores_of(accuracy, 10_000))


def trial(accuracy: float, seed: int = 1, images: int = 10_000, name: str = "a") -> TrainingRecord:
    return training("grid", seed, name, **scores_of(accuracy, images))


def stopped(name: str, seed: int = 1, status: str = "diverged") -> TrainingRecord:
    return training("grid", seed, name, status=status)


def sweep(*trials: TrainingRecord) -> None:
    put(trials)


def commit() -> None:
    git("add", "-A")
    git("commit", "-q", "--allow-empty", "-m", "results")


def kinds() -> dict[str, str]:
    return {change.result: change.kind for change in against("HEAD")}


# ---------------------------------------------------------------------------------------------- the interval


@pytest.mark.parametrize(
    ("now", "before", "low", "high"),
    [(9, 3, 0.1705, 0.8090), (10, 0, 0.6075, 1.0), (0, 0, -0.2775, 0.2775)],  # Newcombe (1998), table II
)
def test_with_one_seed_the_interval_is_newcombes(now: int, before: int, low: float, high: float) -> None:
    found = interval(Scored([(1, before / 10)], 10), Scored([(1, now / 10)], 10))
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)
    assert found.over == "over 10 images"


def test_with_seeds_on_both_sides_it_is_the_claims_paired_one() -> None:
    now, before = (
        Scored([(1, 0.95), (2, 0.96), (3, 0.94)], 360),
        Scored([(1, 0.97), (2, 0.97), (3, 0.97)], 360),
    )
    value, low, high, kind = interval(before, now)
    assert value == pytest.approx(-0.02)
    # −2, −1, −3 points: mean −2, standard error 1/√3, t = 4.303 at two degrees of freedom
    assert (low, high) == pytest.approx((-0.02 - 0.043027 / 3**0.5, -0.02 + 0.043027 / 3**0.5), abs=1e-6)
    assert kind == "over 3 seeds"


def test_the_rise_is_that_of_the_seeds_which_its_interval_is_over() -> None:
    before = Scored([(1, 0.90), (2, 0.91)], 360)
    now = Scored([(1, 0.93), (2, 0.93), (3, 0.99)], 360)
    rise = interval(before, now)
    assert (rise.value, rise.over) == (pytest.approx(0.025), "over 2 seeds")
    assert (rise.low + rise.high) / 2 == pytest.approx(0.025)
    assert f"{100 * rise.value:+.2f} points [" in regressions._change("one", before, now).text


def test_seeds_on_one_side_alone_leave_the_binomial_one() -> None:
    assert interval(Scored([(1, 0.9), (2, 0.9)], 360), Scored([(1, 0.95)], 360)).over == "over 360 images"


# ----------------------------------------------------------------------------------------------- the changes


def test_one_seeds_drop_fails_where_it_is_more_than_the_images_chance() -> None:
    experiment("large", 0.9959)
    experiment("small", 0.9959)
    experiment("rise", 0.9700)
    commit()
    experiment("large", 0.9900)
    experiment("small", 0.9950)
    experiment("rise", 0.9959)
    assert kinds() == {"large": FAILED, "small": NOISE, "rise": ROSE}
    text = next(change.text for change in against("HEAD") if change.result == "large")
    assert text == "0.9959 → 0.9900, -0.59 points [-0.83, -0.36] over 10,000 images"


def test_a_drop_over_seeds_fails_though_the_images_alone_would_not_tell() -> None:
    experiment("digits", 0.9961, 0.9962, 0.9963)
    commit()
    experiment("digits", 0.9951, 0.9952, 0.9952)
    assert kinds() == {"digits": FAILED}


def test_what_is_new_removed_or_equal_does_not_fail() -> None:
    experiment("left", 0.9)
    experiment("kept", 0.9, 0.8)
    commit()
    shutil.rmtree(files.METRICS / "left")
    experiment("added", 0.5)
    assert kinds() == {"left": REMOVED, "kept": EQUAL, "added": NEW}


@pytest.mark.parametrize(
    ("lost", "told"),
    [
        (["trainings", "train"], "belongs to no finished training: there is no"),
        (["scores", "evaluate"], "is missing"),
    ],
)
def test_half_a_result_fails_though_its_accuracy_is_the_same(lost: list[str], told: str) -> None:
    experiment("digits", 0.9, 0.8)
    commit()
    for file in lost:
        (files.METRICS / f"digits/{file}.json").unlink()
    (change,) = against("HEAD")
    assert change.kind == FAILED
    assert change.text.startswith(told)


def test_scores_of_the_training_before_fail_though_they_are_the_same() -> None:
    experiment("digits", 0.9, 0.8)
    commit()
    after = [training("digits", 1, weights="of 0.9"), training("digits", 2, weights="of the training after")]
    put(after, files.read_json(files.scores("digits")))
    text = "belongs to a different training than metrics/digits/trainings.json; run `dvc repro`"
    assert against("HEAD") == [Change("digits", FAILED, text)]


def test_trials_are_compared_by_name_and_seed() -> None:
    sweep(trial(0.97, 2), trial(0.98, 1), trial(0.9, name="b"))
    commit()
    sweep(trial(0.97, 2), trial(0.98, 1), trial(0.5, name="b"))
    assert kinds() == {"grid/a": EQUAL, "grid/b": FAILED}


@pytest.mark.parametrize("status", ["diverged", "infeasible"])
def test_a_trial_that_no_longer_ends_fails_and_one_that_never_did_does_not(status: str) -> None:
    never = stopped("b", status=status)
    sweep(trial(0.97), never, trial(0.9, 1, name="c"), trial(0.9, 2, name="c"))
    commit()
    sweep(stopped("a", status=status), never, trial(0.9, 1, name="c"), stopped("c", 2, status))
    assert kinds() == {"grid/a": FAILED, "grid/b": EQUAL, "grid/c": FAILED}


def test_a_seed_that_no_longer_ends_fails_though_another_never_did() -> None:
    ends = [trial(0.97, seed) for seed in (1, 2, 3)]
    diverged = [stopped("a", seed) for seed in (1, 2, 3)]
    sweep(ends[0], ends[1], diverged[2])
    commit()
    sweep(ends[0], diverged[1], diverged[2])
    assert kinds() == {"grid/a": FAILED}
    sweep(*diverged)
    assert kinds() == {"grid/a": FAILED}


def test_an_image_less_with_each_seed_is_no_drop() -> None:
    sweep(*(trial(0.9500, seed, 360) for seed in (1, 2)))
    commit()
    sweep(*(trial(0.9500 - 1 / 360, seed, 360) for seed in (1, 2)))
    assert kinds() == {"grid/a": NOISE}


@pytest.mark.parametrize(
    "content",
    [
        b"\xff{}",
        b"[" * 100_000,
        b'[{"of": "digits", "seed": [1], "test": {"accuracy": 0.9, "images": 360}}]',
        b'[{"of": "digits", "seed": 1, "test": {"accuracy": 0.9, "images": 1%s}}]' % (b"0" * 30),
        b'[{"of": "digits", "seed": 1, "test": {"accuracy": 1%s, "images": 10}}]' % (b"0" * 400),
        b"3",
    ],
    ids=["not utf-8", "deep", "a list of seeds", "images", "accuracy", "a number"],
)
def test_a_file_that_holds_no_results_is_named(content: bytes) -> None:
    path = files.scores("digits")
    files.write_bytes(path, content)
    with pytest.raises(InputError, match=f"{path}: not the results of trainings"):
        against("HEAD")


def test_a_new_trial_that_cannot_be_is_no_drop() -> None:
    sweep(stopped("a", status="infeasible"))
    assert against("HEAD") == [Change("grid/a", NEW, "has no accuracy: infeasible")]


def test_a_revision_without_results_makes_all_new() -> None:
    experiment("digits", 0.9)
    assert kinds() == {"digits": NEW}


def test_another_branch_is_compared_from_a_folder_below_the_root(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repository / "below").mkdir()
    monkeypatch.chdir(repository / "below")
    experiment("digits", 0.9)
    commit()
    git("branch", "other")
    experiment("digits", 0.95)
    commit()
    assert [change.kind for change in against("other")] == [ROSE]


def test_a_dvc_experiment_is_compared_by_its_name(repository: Path) -> None:
    experiment("digits", 0.9)
    commit()
    git("update-ref", f"refs/exps/{'a' * 2}/{'a' * 38}/fast-lark", "HEAD")
    experiment("digits", 0.95)
    commit()
    assert [change.kind for change in against("fast-lark")] == [ROSE]


# -------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    "revision", ["nonsense", "", "--all", "^HEAD", "HEAD~99", "HEAD:metrics", "a b", "‮\n"]
)
def test_what_is_no_revision_is_one_line(revision: str) -> None:
    with pytest.raises(
        InputError, match=r"^--against: found .*; allowed: a branch, tag, commit or DVC"
    ) as error:
        against(revision)
    assert len(str(error.value).splitlines()) == 1


def test_outside_of_a_repository_it_is_the_same_line(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("plain"))
    with pytest.raises(InputError, match="found 'HEAD'"):
        against("HEAD")


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "3",
        "[3]",
        '[{"test": {"accuracy": 0.9, "images": 360}}]',
        '[{"of": "digits", "test": {"accuracy": "0.9", "images": 360}}]',
        '[{"of": "digits", "test": {"accuracy": NaN, "images": 360}}]',
        '[{"of": "digits", "test": {"accuracy": 1.5, "images": 360}}]',
        '[{"of": "digits", "test": {"accuracy": 0.9, "images": 0}}]',
        '[{"of": "digits", "test": {"accuracy": 0.9}}]',
    ],
)
@pytest.mark.parametrize("where", ["here", "there"])
def test_damaged_results_are_one_line_that_names_the_file_and_its_side(content: str, where: str) -> None:
    path = files.scores("digits")
    files.write_text(path, content)
    if where == "there":
        commit()
        path.unlink()
    place = "metrics" if where == "here" else "HEAD:metrics"
    with pytest.raises(InputError, match=f"^{place}/digits/scores.json: not the results of trainings"):
        against("HEAD")


# ------------------------------------------------------------------------------------------------ the command


def check(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["convlab", "check", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(str(ended.value.code))


@pytest.fixture
def with_params(repository: Path) -> None:
    for name in ("params.yaml", "studies.yaml"):
        (repository / name).write_bytes((ROOT / name).read_bytes())
    for name in ("digits", "mnist_vgg", "cifar10_simplecnn"):
        experiment(name, 0.9962)
    commit()


@pytest.mark.usefixtures("with_params")
def test_the_command_fails_on_a_drop_that_no_threshold_sees(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(monkeypatch, "--against", "HEAD") == 0
    experiment("digits", 0.9800)
    assert check(monkeypatch) == 0
    assert check(monkeypatch, "--against", "HEAD") == 1
    out = capsys.readouterr().out
    assert "FAIL  digits: test_accuracy 0.9962 → 0.9800, -1.62 points" in out
    assert "against HEAD: 1 dropped, 0 rose, 0 changed within the noise, 2 equal, 0 new, 0 removed" in out


@pytest.mark.usefixtures("with_params")
def test_a_bad_revision_is_one_line_and_exit_status_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(monkeypatch, "--against", "nonsense") == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert "'nonsense'" in err


def test_every_kind_of_change_is_counted() -> None:
    assert list(regressions.KINDS) == [FAILED, ROSE, NOISE, EQUAL, NEW, REMOVED]


def test_the_committed_results_are_understood(monkeypatch: pytest.MonkeyPatch, committed: Path) -> None:
    monkeypatch.chdir(committed)
    names = {path.parent.name for path in files.METRICS.glob("*/*.json")}
    found = regressions._read(regressions._present())
    assert {name.split("/")[0] for name in found} == names
    assert all(result.images in (360, 10_000) for result in found.values())
    assert (
        json.loads((files.METRICS / "digits/evaluate.json").read_text())["test"]["accuracy"]
        == found["digits"].mean
    )


def test_among_many_results_one_small_drop_is_chance_and_a_large_one_is_not() -> None:
    """Of two hundred, chance alone puts five below their own 95 % interval."""
    names = [f"t{number}" for number in range(40)]
    sweep(*(trial(0.990, name=name) for name in names))
    commit()
    sweep(*(trial(0.9867 if name in ("t0", "t1") else 0.9899, name=name) for name in names))
    found = kinds()
    assert set(found.values()) == {"ok"}
    sweep(*(trial(0.97 if name == "t0" else 0.9899, name=name) for name in names))
    found = kinds()
    assert found.pop("grid/t0") == "FAIL"
    assert set(found.values()) == {"ok"}


def test_a_single_small_drop_is_judged_by_its_own_interval() -> None:
    sweep(trial(0.990))
    commit()
    sweep(trial(0.9867))
    assert kinds() == {"grid/a": "FAIL"}
