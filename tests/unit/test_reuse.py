"""A campaign trains only what a result lacks: which of its trainings are kept, and stay as they are."""

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from params import Changes, run

from convlab import files
from convlab.campaign.reuse import fill_ledger, forget, reusable
from convlab.config import load_item
from convlab.config.seed_counts import Item
from convlab.locks import Lock
from convlab.pipeline.ledger import TRAINING

SWEEP, LESS, MORE = "several", {"lr": [0.001]}, {"lr": [0.001, 0.01]}


@pytest.fixture(autouse=True)
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, on a machine without MLflow."""
    monkeypatch.setitem(sys.modules, "mlflow", None)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def sweep_of(seeds: int, grid: dict[str, Any], **overrides: Any) -> Changes:
    """Return a sweep over the digits, of one epoch."""
    overrides = {"epochs": 1, "iterations": False, **overrides}
    return {"sweeps": {SWEEP: {"experiment": "digits", "seeds": seeds, "overrides": overrides, "grid": grid}}}


def digits_of(seeds: int, iterations: bool = False) -> Changes:
    return {"experiments/digits/seeds": seeds, "experiments/digits/iterations": iterations}


def declared(folder: Path, name: str, changes: Changes) -> Item:
    run(folder, name, changes)
    return load_item(files.config(name))


def ended(name: str) -> dict[tuple[str, int], tuple[Any, ...]]:
    """Return by name and seed all that is there of the trainings of a sweep."""
    timing = files.read_json(files.METRICS / name / "timing.json")
    lines = (files.PLOTS / name / "curves.csv").read_text().splitlines()
    found = {}
    for one in files.read_json(files.trainings(name)):
        of, seed = one["name"], one["seed"]
        curves = [line for line in lines if line.startswith(of) and line.endswith(str(seed))]
        weights = files.weights(name, seed, of)
        content = weights.read_bytes() if weights.is_file() else None
        found[of, seed] = (one, timing[files.training(seed, of)], curves, content)
    return found


def removed(name: str) -> None:
    """Remove a result, as DVC does before it runs a stage."""
    for folder in (files.METRICS, files.PLOTS, files.MODELS):
        shutil.rmtree(folder / name)


def test_more_seeds_and_more_trials_leave_what_was_trained_as_it_is(repository: Path) -> None:
    run(repository, SWEEP, sweep_of(1, LESS), "sweep")
    before = ended(SWEEP)
    larger = sweep_of(2, MORE)
    assert len(fill_ledger(SWEEP, declared(repository, SWEEP, larger))) == 1
    removed(SWEEP)
    run(repository, SWEEP, larger, "sweep")
    after = ended(SWEEP)
    assert list(after) == [("lr-0.001", 7), ("lr-0.001", 8), ("lr-0.01", 7), ("lr-0.01", 8)]
    assert after["lr-0.001", 7] == before["lr-0.001", 7], "the timing, too: it was not trained again"
    assert not any((files.ledger(SWEEP)).glob("*")), "the stage has emptied it"


def test_more_seeds_of_an_experiment_leave_its_first_as_it_is(repository: Path) -> None:
    run(repository, "digits", digits_of(1), "train", "evaluate")
    weights = files.weights("digits", 7).read_bytes()
    (record,) = files.read_json(files.trainings("digits"))
    timing = files.read_json(files.METRICS / "digits/timing.json")
    assert len(fill_ledger("digits", declared(repository, "digits", digits_of(2)))) == 1
    removed("digits")
    run(repository, "digits", digits_of(2), "train", "evaluate")
    assert files.weights("digits", 7).read_bytes() == weights
    assert files.read_json(files.trainings("digits"))[0] == record
    assert files.read_json(files.METRICS / "digits/timing.json")["seeds"][0] == timing
    assert len(files.read_json(files.scores("digits"))) == 2


def test_of_a_larger_result_a_part_is_kept_as_well(repository: Path) -> None:
    run(repository, "digits", digits_of(2), "train")
    found = reusable("digits", declared(repository, "digits", digits_of(3)))
    assert list(found) == [0, 1]
    assert all("seeds" not in one.finished.timing for one in found.values())
    assert list(reusable("digits", declared(repository, "digits", digits_of(1)))) == [0]


@pytest.mark.parametrize(
    "changes",
    [sweep_of(2, {"lr": [0.002]}), sweep_of(2, LESS, batch_size=64), sweep_of(2, LESS, epochs=2)],
    ids=["another value", "another setting", "more epochs"],
)
def test_what_would_be_trained_otherwise_is_not_kept(repository: Path, changes: Changes) -> None:
    run(repository, SWEEP, sweep_of(1, LESS), "sweep")
    assert not reusable(SWEEP, declared(repository, SWEEP, changes))


def test_a_sweep_needs_no_weights_an_experiment_does(repository: Path) -> None:
    run(repository, SWEEP, sweep_of(1, LESS), "sweep")
    shutil.rmtree(files.MODELS / SWEEP)
    (kept,) = reusable(SWEEP, declared(repository, SWEEP, sweep_of(2, LESS))).values()
    assert kept.finished.weights is None
    run(repository, "digits", digits_of(1), "train")
    files.weights("digits", 7).unlink()
    assert not reusable("digits", declared(repository, "digits", digits_of(2)))


@pytest.mark.parametrize("damage", ["of another seed", "cut"])
def test_weights_that_are_not_of_the_training_are_not_taken(repository: Path, damage: str) -> None:
    run(repository, "digits", digits_of(2), "train")
    content = files.weights("digits", 8).read_bytes()
    files.write_bytes(files.weights("digits", 7), content if damage == "of another seed" else content[:100])
    assert list(reusable("digits", declared(repository, "digits", digits_of(3)))) == [1]


def test_where_steps_are_recorded_the_first_seed_is_trained_again(repository: Path) -> None:
    run(repository, SWEEP, sweep_of(2, LESS, iterations=True), "sweep")
    item = declared(repository, SWEEP, sweep_of(3, LESS, iterations=True))
    assert list(reusable(SWEEP, item)) == [1]
    run(repository, "digits", digits_of(2, iterations=True), "train")
    later = digits_of(2, iterations=True) | {"experiments/digits/seed": 8}
    assert not reusable("digits", declared(repository, "digits", later)), "8 is the first now"


@pytest.mark.parametrize("damage", ["gone", "not JSON", "of another machine", "of another training"])
def test_a_training_without_its_own_seconds_is_trained_again(repository: Path, damage: str) -> None:
    run(repository, SWEEP, sweep_of(1, LESS), "sweep")
    path = files.METRICS / SWEEP / "timing.json"
    timing = files.read_json(path)
    match damage:
        case "gone":
            path.unlink()
        case "not JSON":
            path.write_text("{")
        case "of another machine":
            files.write_json(path, {key: one | {"device_name": "H100"} for key, one in timing.items()})
        case "of another training":
            files.write_json(path, {key: one | {"fingerprint": "0"} for key, one in timing.items()})
    assert not reusable(SWEEP, declared(repository, SWEEP, sweep_of(2, LESS)))


def test_trials_of_the_same_settings_keep_their_own_seconds(repository: Path) -> None:
    variants = {"plain": {}, "named": {"lr": 0.001}}
    changes = sweep_of(1, {})
    changes["sweeps"][SWEEP] |= {"variants": variants}
    del changes["sweeps"][SWEEP]["grid"]
    run(repository, SWEEP, changes, "sweep")
    timing = files.read_json(files.METRICS / SWEEP / "timing.json")
    found = reusable(SWEEP, declared(repository, SWEEP, changes)).values()
    assert [one.finished.timing for one in found] == list(timing.values())


def test_results_of_an_early_version_are_trained_again(repository: Path) -> None:
    run(repository, SWEEP, sweep_of(1, LESS), "sweep")
    path = files.PLOTS / SWEEP / "curves.csv"
    rows = [{key: value for key, value in row.items() if key != "penalty"} for row in files.read_curves(path)]
    files.write_csv(path, rows)
    assert not reusable(SWEEP, declared(repository, SWEEP, sweep_of(2, LESS)))


def test_what_the_ledger_has_is_not_replaced(repository: Path) -> None:
    run(repository, SWEEP, sweep_of(1, LESS), "sweep")
    item = declared(repository, SWEEP, sweep_of(2, LESS))
    (one,) = fill_ledger(SWEEP, item)
    weights = files.ledger(SWEEP) / one.key / "model.safetensors"
    shutil.rmtree(files.MODELS / SWEEP)
    assert weights.is_file()
    (again,) = fill_ledger(SWEEP, item)
    assert (again.key, again.finished.weights) == (one.key, None)
    assert weights.is_file()
    forget(SWEEP, [one])
    assert not files.ledger(SWEEP).exists()


def test_weights_that_a_killed_training_left_are_not_of_one_that_is_kept(repository: Path) -> None:
    run(repository, SWEEP, sweep_of(1, LESS), "sweep")
    shutil.rmtree(files.MODELS / SWEEP)
    item = declared(repository, SWEEP, sweep_of(2, LESS))
    ((_, one),) = reusable(SWEEP, item).items()
    left = files.ledger(SWEEP) / one.key / "model.safetensors"
    files.write_bytes(left, b"of a training that was killed before it was finished")
    assert len(fill_ledger(SWEEP, item)) == 1
    assert not left.exists()


def test_what_another_process_is_training_is_left_to_it(repository: Path) -> None:
    run(repository, SWEEP, sweep_of(1, LESS), "sweep")
    item = declared(repository, SWEEP, sweep_of(2, LESS))
    ((_, one),) = reusable(SWEEP, item).items()
    turn = Lock.exclusive(files.ledger(SWEEP) / one.key / TRAINING)
    assert turn
    assert fill_ledger(SWEEP, item) == []
    turn.release()
    assert len(fill_ledger(SWEEP, item)) == 1


def test_where_there_is_no_result_nothing_is_kept(repository: Path) -> None:
    assert fill_ledger(SWEEP, declared(repository, SWEEP, sweep_of(2, LESS))) == []
