"""Several seeds, and several data sets, through the real stages: trained, stored, found again."""

import sys
from pathlib import Path
from statistics import mean
from typing import Any

import pytest
from params import SMALL, Changes, run
from training import rows as rows_of

from convlab import files
from convlab.config import load_sweep
from convlab.data.dataset import load_split
from convlab.pipeline.run import fingerprint_of
from convlab.pipeline.trainings import Trainings
from convlab.schema import Sweep
from convlab.tracking import records

OTHER = {"split": {"method": "last", "validation": 400}, "preprocess": {"scaling": "zscore_channel"}}


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, on a machine without MLflow."""
    monkeypatch.setitem(sys.modules, "mlflow", None)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def sweep_of(**entry: Any) -> Changes:
    return {"sweeps": {"several": {"seeds": 2, **entry}}}


LR = sweep_of(experiment="digits", overrides={"epochs": 1}, grid={"lr": [0.001, 0.01]})
POINTS = [("lr-0.001", 7), ("lr-0.001", 8), ("lr-0.01", 7), ("lr-0.01", 8)]


# ---------------------------------------------------------------------------------------------- an experiment


def test_an_experiment_of_three_seeds_is_trained_and_evaluated_with_each(repository: Path) -> None:
    run(repository, "digits", {"experiments/digits/seeds": 3}, "train", "evaluate")
    facts, scores = files.read_json(files.trainings("digits")), files.read_json(files.scores("digits"))
    timing = files.read_json(files.METRICS / "digits/timing.json")
    seeds = [7, 8, 9]

    for content in (facts, scores):
        assert [row["seed"] for row in content] == seeds
    fingerprints = [row["fingerprint"] for row in facts]
    assert len(set(fingerprints)) == 3
    assert [row["fingerprint"] for row in timing["seeds"]] == fingerprints
    assert timing["fingerprint"] == fingerprints[0]
    for fact, score in zip(facts, scores, strict=True):
        assert score["validation"]["loss"] == pytest.approx(fact["validation_loss"], rel=1e-5)
        assert len(score["per_class"]) == 10
    shown = files.read_json(files.METRICS / "digits/evaluate.json")
    assert shown["seeds"] == {str(score["seed"]): score["test"]["accuracy"] for score in scores}
    assert shown["test"]["accuracy"] == pytest.approx(sum(shown["seeds"].values()) / 3)

    curves = files.read_curves(files.PLOTS / "digits/curves.csv")
    assert [(row["seed"], row["epoch"]) for row in curves] == [
        (seed, epoch) for seed in seeds for epoch in (1, 2)
    ]
    steps = files.read_curves(files.PLOTS / "digits/iterations.csv")
    assert [row["iteration"] for row in steps] == [*range(1, 2 * 10 + 1)]  # of the first seed

    weights = [files.read_tensors(files.weights("digits", seed)) for seed in seeds]
    assert not weights[0]["output.weight"].equal(weights[1]["output.weight"])
    predicted = files.read_tensors(files.predictions("digits"))
    right = (predicted["probabilities"].argmax(1) == predicted["labels"]).double().mean().item()
    assert right == scores[0]["test"]["accuracy"]


def test_each_seed_of_a_random_split_has_a_split_of_its_own(repository: Path) -> None:
    run(repository, "digits", {"experiments/digits/seeds": 2})
    one, other = (files.PROCESSED / "digits").iterdir()
    assert not load_split(one, "validation").labels.equal(load_split(other, "validation").labels)
    assert load_split(one, "test").images.equal(load_split(other, "test").images)


def test_all_seeds_of_a_published_split_share_it(repository: Path) -> None:
    run(repository, "digits", {"experiments/digits/seeds": 2, "experiments/digits/split/method": "last"})
    assert len([*(files.PROCESSED / "digits").iterdir()]) == 1


def test_of_one_seed_nothing_is_said_twice(repository: Path) -> None:
    run(repository, "digits", {}, "train", "evaluate")
    for name in ("train", "evaluate", "timing"):
        assert "seeds" not in files.read_json(files.METRICS / f"digits/{name}.json")
    assert [path.name for path in (files.MODELS / "digits").iterdir()] == ["seed-7.safetensors"]
    assert records.read_run("digits").children == []


def test_a_seed_among_others_is_trained_as_it_is_alone(repository: Path) -> None:
    run(repository, "digits", {"experiments/digits/seeds": 2}, "train")
    among = files.weights("digits", 8).read_bytes()
    fact = files.read_json(files.trainings("digits"))[1]
    run(repository, "digits", {"experiments/digits/seed": 8}, "train")
    assert files.weights("digits", 8).read_bytes() == among
    alone = files.read_json(files.trainings("digits"))[0]
    assert {key for key in fact if fact[key] != alone[key]} == set()


def test_seeds_are_runs_below_that_of_their_mean(repository: Path) -> None:
    run(repository, "digits", {"experiments/digits/seeds": 3}, "train", "evaluate")
    found = records.read_run("digits")
    scores = files.read_json(files.scores("digits"))
    assert [child.name for child in found.children] == [f"digits seed={seed}" for seed in (7, 8, 9)]
    assert found.metrics["test_accuracy"] == mean(score["test"]["accuracy"] for score in scores)
    for one, seed, score in zip(found.children, (7, 8, 9), scores, strict=True):
        assert one.origin is not None
        assert one.origin.missing() is None
        assert one.params["seed"] == str(seed)
        assert [row["seed"] for row in one.curves] == [seed, seed]
        assert one.metrics["test_accuracy"] == score["test"]["accuracy"]
        assert one.timing["fingerprint"] == one.fingerprint
    assert len({one.fingerprint for one in found.children}) == 3


# ---------------------------------------------------------------------------------------------------- a sweep


def test_a_sweep_of_two_seeds_has_a_row_curves_weights_and_a_timing_of_each(
    repository: Path,
) -> None:
    run(repository, "several", LR, "sweep")
    rows = files.read_json(files.trainings("several"))
    assert [(row["name"], row["seed"]) for row in rows] == POINTS
    assert len({row["fingerprint"] for row in rows}) == 4
    curves = files.read_curves(files.PLOTS / "several/curves.csv")
    assert [(row["trial"], row["seed"]) for row in curves] == POINTS
    names = [files.training(seed, trial) for trial, seed in POINTS]
    assert sorted(path.stem for path in (files.MODELS / "several").iterdir()) == sorted(names)
    timing = files.read_json(files.METRICS / "several/timing.json")
    assert [(name, part["fingerprint"]) for name, part in timing.items()] == [
        (name, row["fingerprint"]) for name, row in zip(names, rows, strict=True)
    ]
    assert not files.ledger("several").exists()  # the ledger is no longer needed


def test_a_sweep_interrupted_between_two_seeds_of_a_point_trains_only_the_missing_one(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(repository, "several", LR)
    plan = load_sweep(files.config("several"))
    prepared, ledger = files.PROCESSED / "several", repository / "ledger"
    done = Trainings("several", Sweep(trials=plan.trials[:3]), prepared, ledger).run()
    capsys.readouterr()

    resumed = Trainings("several", plan, prepared, ledger).run()
    lines = capsys.readouterr().out.splitlines()
    kept = [line for line in lines if line.endswith(": already finished, kept")]
    assert [line.split(":")[0] for line in kept] == [
        "several 1/4 lr-0.001_seed-7",
        "several 2/4 lr-0.001_seed-8",
        "several 3/4 lr-0.01_seed-7",
    ]
    assert [line.split(" epoch ")[0] for line in lines if " epoch " in line] == ["several 4/4 lr-0.01_seed-8"]
    assert resumed[:3] == done

    whole = Trainings("several", plan, prepared, repository / "another").run()
    assert rows_of(resumed) == rows_of(whole)


def test_each_seed_that_diverges_is_a_row_without_weights(repository: Path) -> None:
    variants = {"fast": {"lr": 1e30}, "slow": {}}
    entry = {"experiment": "digits", "overrides": {"epochs": 1}, "variants": variants}
    run(repository, "several", sweep_of(**entry), "sweep")
    rows = files.read_json(files.trainings("several"))
    assert [(row["seed"], row["status"]) for row in rows] == [
        (7, "diverged"),
        (8, "diverged"),
        (7, "finished"),
        (8, "finished"),
    ]
    stems = sorted(path.stem for path in (files.MODELS / "several").iterdir())
    assert stems == ["slow_seed-7", "slow_seed-8"]


# --------------------------------------------------------------------------------- a sweep over experiments


def test_a_sweep_over_experiments_trains_each_on_its_own_data(repository: Path) -> None:
    other = {"dataset": "digits", "model": SMALL["experiments/digits/model"], **OTHER}
    entry = {"experiments": ["digits", "other"], "overrides": {"epochs": 1}}
    changes = {"experiments/other": other, "sweeps": {"look": entry}}
    run(repository, "look", changes, "sweep")

    plan = load_sweep(files.config("look"))
    keys = [trial.experiment.data_key() for trial in plan.trials]
    assert sorted(path.name for path in (files.PROCESSED / "look").iterdir()) == sorted(keys)
    assert len(set(keys)) == 2
    rows = files.read_json(files.trainings("look"))
    assert [(row["name"], row["overrides"]) for row in rows] == [("digits", {}), ("other", {})]
    images = [(row["train"]["images"], row["validation"]["images"]) for row in rows]
    assert images == [(1187, 250), (1037, 400)]
    for trial, line, key in zip(plan.trials, rows, keys, strict=True):
        assert line["fingerprint"] == fingerprint_of(trial.experiment, files.PROCESSED / "look" / key)
        assert files.weights("look", 7, trial.name).is_file()
