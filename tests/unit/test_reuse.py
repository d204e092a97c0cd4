"""A campaign trains only what a result lacks: which of its trainings are kept, and stay as they are."""

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from params import Changes, run

from convlab import files
from convlab.campaign.reuse import fill_ledger, reusable
from convlab.config import load_item
from convlab.config.seed_counts import Item

SWEEP, LESS, MORE = "several", {"lr": [0.001]}, {"lr": [0.001, 0.01]}


@pytest.fixture(autouse=True)
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, on a machine without MLflow."""
    monkeypatch.setitem(sys.modules, "mlflow", None)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def sweep_of(seeds: int, grid: dict[str, Any], **overrides: Any) -> Changes:
    """Return a sweep over the digits, of one epoch, which records its steps."""
    entry = {"experiment": "digits", "seeds": seeds, "overrides": {"epochs": 1, **overrides}, "grid": grid}
    return {"sweeps": {SWEEP: entry}}


def declared(folder: Path, name: str, changes: Changes) -> Item:
    run(folder, name, changes)
    return load_item(files.config(name))


def ended(name: str) -> dict[tuple[str, int], tuple[Any, ...]]:
    """Return by name and seed all that is there of the trainings of a sweep."""
    records = files.read_json(files.trainings(name))
    timing = files.read_json(files.METRICS / name / "timing.json")
    lines = {
        kind: (files.PLOTS / name / f"{kind}.csv").read_text().splitlines()
        for kind in ("curves", "iterations")
    }
    found = {}
    for one in records:
        key = files.training(one["seed"], one["name"])
        curves = [
            line
            for line in lines["curves"]
            if line.startswith(one["name"]) and line.endswith(str(one["seed"]))
        ]
        steps = [line for line in lines["iterations"] if line.startswith(one["name"])]
        weights = files.weights(name, one["seed"], one["name"])
        content = weights.read_bytes() if weights.is_file() else None
        found[one["name"], one["seed"]] = (one, timing[key], curves, steps, content)
    return found


def removed(name: str) -> None:
    """Remove a result, as DVC does before it runs a stage."""
    for folder in (files.METRICS, files.PLOTS, files.MODELS):
        shutil.rmtree(folder / name)


def test_more_seeds_and_more_trials_leave_what_was_trained_as_it_is(repository: Path) -> None:
    run(repository, SWEEP, sweep_of(1, LESS), "sweep")
    before = ended(SWEEP)
    larger = sweep_of(2, MORE)
    assert fill_ledger(SWEEP, declared(repository, SWEEP, larger)) == 1
    removed(SWEEP)
    run(repository, SWEEP, larger, "sweep")
    after = ended(SWEEP)
    assert list(after) == [("lr-0.001", 7), ("lr-0.001", 8), ("lr-0.01", 7), ("lr-0.01", 8)]
    assert after["lr-0.001", 7] == before["lr-0.001", 7], "the timing, too: it was not trained again"
    assert before["lr-0.001", 7][3], "steps are recorded"
    assert after["lr-0.01", 7][3]


def test_more_seeds_of_an_experiment_leave_its_first_as_it_is(repository: Path) -> None:
    one, two = ({"experiments/digits/seeds": seeds} for seeds in (1, 2))
    run(repository, "digits", one, "train", "evaluate")
    paths = files.PLOTS / "digits/iterations.csv", files.weights("digits", 7)
    before = [path.read_bytes() for path in paths]
    (record,), timing = (
        files.read_json(files.trainings("digits")),
        files.read_json(files.METRICS / "digits/timing.json"),
    )
    assert fill_ledger("digits", declared(repository, "digits", two)) == 1
    removed("digits")
    run(repository, "digits", two, "train", "evaluate")
    assert [path.read_bytes() for path in paths] == before
    assert files.read_json(files.trainings("digits"))[0] == record
    assert files.read_json(files.METRICS / "digits/timing.json")["seeds"][0] == timing
    assert len(files.read_json(files.scores("digits"))) == 2


def test_of_a_larger_result_a_part_is_kept_as_well(repository: Path) -> None:
    run(repository, "digits", {"experiments/digits/seeds": 2}, "train")
    item = declared(repository, "digits", {"experiments/digits/seeds": 3})
    assert sorted(reusable("digits", item)) == [0, 1]
    assert all("seeds" not in one.finished.timing for one in reusable("digits", item).values())


@pytest.mark.parametrize(
    "changes",
    [sweep_of(2, {"lr": [0.002]}), sweep_of(2, LESS, batch_size=64), sweep_of(2, LESS, epochs=2)],
    ids=["another value", "another setting", "more epochs"],
)
def test_what_would_be_trained_otherwise_is_not_kept(repository: Path, changes: Changes) -> None:
    run(repository, SWEEP, sweep_of(1, LESS), "sweep")
    changes["sweeps"][SWEEP]["overrides"].setdefault("epochs", 1)
    assert not reusable(SWEEP, declared(repository, SWEEP, changes))


def test_a_sweep_needs_no_weights_an_experiment_does(repository: Path) -> None:
    run(repository, SWEEP, sweep_of(1, LESS), "sweep")
    shutil.rmtree(files.MODELS / SWEEP)
    (kept,) = reusable(SWEEP, declared(repository, SWEEP, sweep_of(2, LESS))).values()
    assert kept.finished.weights is None
    run(repository, "digits", {}, "train")
    files.weights("digits", 7).unlink()
    assert not reusable("digits", declared(repository, "digits", {"experiments/digits/seeds": 2}))


def test_weights_of_another_training_are_not_taken(repository: Path) -> None:
    run(repository, "digits", {"experiments/digits/seeds": 2}, "train")
    files.copy(files.weights("digits", 8), files.weights("digits", 7))
    item = declared(repository, "digits", {"experiments/digits/seeds": 3})
    assert list(reusable("digits", item)) == [1]


def test_a_first_seed_whose_steps_are_gone_is_trained_again(repository: Path) -> None:
    run(repository, SWEEP, sweep_of(2, LESS), "sweep")
    (files.PLOTS / SWEEP / "iterations.csv").unlink()  # as in a clone: git does not have it
    item = declared(repository, SWEEP, sweep_of(3, LESS))
    assert list(reusable(SWEEP, item)) == [1]
    item = declared(repository, SWEEP, sweep_of(3, LESS, iterations=False))
    assert not reusable(SWEEP, item), "another setting"


def test_a_training_without_its_seconds_is_trained_again(repository: Path) -> None:
    run(repository, SWEEP, sweep_of(1, LESS), "sweep")
    (files.METRICS / SWEEP / "timing.json").unlink()
    assert not reusable(SWEEP, declared(repository, SWEEP, sweep_of(2, LESS)))


def test_where_there_is_no_result_nothing_is_kept(repository: Path) -> None:
    assert fill_ledger(SWEEP, declared(repository, SWEEP, sweep_of(2, LESS))) == 0
