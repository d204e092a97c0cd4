import os
import resource
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from training import THREE, Make, rows, weights

from convlab import files
from convlab.data.dataset import Prepared, save
from convlab.errors import InputError
from convlab.pipeline import evaluate as evaluation
from convlab.pipeline.executors.processes import at_once
from convlab.pipeline.ledger import Finished, Ledger
from convlab.pipeline.trainings import Trainings, _allow_open_files, iterations_of
from convlab.schema import Experiment

FEASIBLE_AND_NOT = {"model.strides": [1, 1]}, {"model.strides": [4, 4]}, {"model.strides": [2, 1]}


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "ledger"


# --------------------------------------------------------------------------------------------------- the rows


def test_an_infeasible_trial_is_a_row_with_its_reason_and_the_others_are_trained(
    sweep: Make, prepared: Path, ledger: Path
) -> None:
    ended = Trainings("strides", sweep(*FEASIBLE_AND_NOT, epochs=1), prepared, ledger).run()
    first, second, third = rows(ended)
    assert [line["status"] for line in (first, second, third)] == ["finished", "infeasible", "finished"]
    assert second["reason"] == "block 2 has a 1×1 map left, too small for its 2×2 pooling"
    assert second["overrides"] == {"model.strides": [4, 4]}
    nothing = ended[1][1]
    assert (nothing.curves, nothing.timing, nothing.weights) == ([], {}, None)
    for line, (_, finished) in ((first, ended[0]), (third, ended[2])):
        assert line["seed"] == 1
        assert line["parameters"] > 0
        assert 0 <= line["test"]["accuracy"] <= 1
        assert [record["epoch"] for record in finished.curves] == [1]
        assert finished.weights is not None
        assert files.read_tensors(finished.weights)


def test_code_that_was_edited_meanwhile_is_no_result(sweep: Make, prepared: Path, ledger: Path) -> None:
    trainings = Trainings("lr", sweep({"lr": 0.01}, epochs=1), prepared, ledger)
    trainings.jobs = [replace(job, fingerprint="of the code before") for job in trainings.jobs]
    with pytest.raises(InputError, match="code or data have changed since this run began; run it again"):
        trainings.run()
    assert trainings.ledger.find(trainings.jobs[0].key) is None


def test_what_failed_is_tried_again_and_what_finished_is_kept(
    sweep: Make, prepared: Path, ledger: Path
) -> None:
    trainings = Trainings("lr", sweep({"lr": 1e30}, {"lr": 0.01}, epochs=1), prepared, ledger)
    trainings.run()
    trainings.forget_failed()
    assert [trainings.ledger.find(job.key) is None for job in trainings.jobs] == [True, False]


def test_a_poll_without_anything_new_leaves_a_checkpoint_that_is_being_written(ledger: Path) -> None:
    folder = ledger / "key/checkpoints"
    being_written = folder / ".000003-00000000-abc.safetensors.tmp"
    for name in ("000001-a.safetensors", "000002-b.safetensors", being_written.name):
        files.write_bytes(folder / name, b"")
    Ledger(ledger).put("key", {})
    assert being_written.exists()
    Ledger(ledger).put("key", {"checkpoints/000004-c.safetensors": b""})
    assert sorted(path.name for path in folder.iterdir()) == [
        being_written.name,
        "000002-b.safetensors",
        "000004-c.safetensors",
    ]


def test_many_trainings_may_have_a_lock_each() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (300, before[1]))
    try:
        _allow_open_files(500)
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= 500
        with pytest.raises(InputError, match="open files, and this system allows"):
            _allow_open_files(before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_trial_that_diverges_is_a_row_with_its_reason(sweep: Make, prepared: Path, ledger: Path) -> None:
    plan = sweep({"lr": 1e30}, {"lr": 0.01}, epochs=1)
    bad, good = rows(Trainings("lr", plan, prepared, ledger).run())
    assert bad["status"] == "diverged"
    assert "in epoch 1, step 2 of 19, at lr 1e+30" in bad["reason"]
    assert good["status"] == "finished"


def test_the_steps_of_a_sweep_are_those_of_the_first_seed_that_has_any(sweep: Make) -> None:
    first, second = sweep({"lr": 0.001}, {"lr": 0.002}).trials
    step = {"iteration": 1, "epoch": 1, "lr": 0.1, "loss": 1.0, "accuracy": 0.5}
    seeds = [
        (first, Finished("diverged", {})),
        (first, Finished("finished", {}, iterations=[step])),
        (first, Finished("finished", {}, iterations=[step, step])),
        (second, Finished("finished", {}, iterations=[step, step])),
    ]
    found = iterations_of(seeds)
    assert found == [{"trial": name, **step} for name in (first.name, second.name, second.name)]
    assert iterations_of(seeds[:1]) == []


def test_rows_can_be_written_as_json_and_read_back_equal(
    sweep: Make, prepared: Path, ledger: Path, tmp_path: Path
) -> None:
    found = rows(Trainings("strides", sweep(*FEASIBLE_AND_NOT, epochs=1), prepared, ledger).run())
    files.write_json(tmp_path / "rows.json", found)
    assert files.read_json(tmp_path / "rows.json") == found


def test_the_order_of_trials_changes_nothing_in_their_rows(
    sweep: Make, prepared: Path, tmp_path: Path
) -> None:
    forward = rows(Trainings("lr", sweep(*THREE, epochs=1), prepared, tmp_path / "a").run())
    torch.manual_seed(5)
    backward = rows(Trainings("lr", sweep(*THREE[::-1], epochs=1), prepared, tmp_path / "b").run())
    assert forward == backward[::-1]


def test_an_experiment_is_not_scored_on_the_test_images(
    recipe: Callable[..., Experiment], digits: Prepared, tmp_path: Path, ledger: Path
) -> None:
    experiment = recipe(seeds=2, epochs=1)
    for one in experiment.each_seed():
        save(digits, tmp_path / one.data_key())
    (_, finished), (_, second) = Trainings("digits", experiment, tmp_path, ledger).run()
    assert "test" not in finished.results
    assert [finished.results["seed"], second.results["seed"]] == [1, 2]


# -------------------------------------------------------------------------------------------------- at once


def test_parallel_trainings_give_the_same_bits_as_sequential_ones(
    sweep: Make, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = sweep(*THREE, {"lr": 1e30}, epochs=2)
    serial = Trainings("lr", plan, prepared, tmp_path / "serial").run()
    monkeypatch.setenv("CONVLAB_WORKERS", "2")
    parallel = Trainings("lr", plan, prepared, tmp_path / "parallel").run()
    assert rows(parallel) == rows(serial)
    assert weights(parallel) == weights(serial)
    assert [finished.curves for _, finished in parallel] == [finished.curves for _, finished in serial]
    assert [finished.timing.get("at_once") for _, finished in parallel] == [2, 2, 2, None]


def test_as_many_run_in_parallel_as_there_are_cores_for_their_threads(
    recipe: Callable[..., Experiment], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CONVLAB_WORKERS")
    monkeypatch.setattr("convlab.pipeline.executors.processes.ALL_THREADS", 8)
    assert at_once([recipe(threads=1)] * 20) == 8
    assert at_once([recipe(threads=1)] * 3) == 3
    assert at_once([recipe(threads=1), recipe(threads=3)] * 9) == 2
    assert at_once([recipe(threads=None)] * 20) == 1
    assert at_once([recipe(threads=16)] * 20) == 1
    assert at_once([]) == 1
    monkeypatch.setenv("CONVLAB_WORKERS", "5")
    assert at_once([recipe(threads=None)] * 20) == 5


@pytest.mark.parametrize("found", ["0", "-1", "two", "1.5", "²"])
def test_a_wrong_number_of_workers_is_one_line(
    recipe: Callable[..., Experiment], monkeypatch: pytest.MonkeyPatch, found: str
) -> None:
    monkeypatch.setenv("CONVLAB_WORKERS", found)
    with pytest.raises(InputError) as error:
        at_once([recipe()])
    assert str(error.value) == (
        f"CONVLAB_WORKERS: found {found!r}; allowed: a whole number from 1 up, or nothing"
    )


# ------------------------------------------------------------------------------------------------- the ledger


def test_finished_trials_are_not_trained_again(
    sweep: Make, prepared: Path, ledger: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = sweep(*FEASIBLE_AND_NOT, epochs=1)
    before = Trainings("strides", plan, prepared, ledger).run()
    capsys.readouterr()
    after = Trainings("strides", plan, prepared, ledger).run()
    *kept, best = capsys.readouterr().out.splitlines()
    assert len(kept) == 3
    assert all(line.endswith("already finished, kept") for line in kept)
    assert best.startswith("strides: best on the validation images: ")
    assert after == before


@pytest.mark.parametrize("change", [{"epochs": 2}, {"batch_size": 32}, {"l2": 0.01}, {"model.dropout": 0.5}])
def test_after_a_change_of_the_configuration_finished_trials_are_trained_again(
    sweep: Make, prepared: Path, ledger: Path, capsys: pytest.CaptureFixture[str], change: dict[str, Any]
) -> None:
    Trainings("lr", sweep({"lr": 0.001}, epochs=1), prepared, ledger).run()
    capsys.readouterr()
    Trainings("lr", sweep({"lr": 0.001}, **{"epochs": 1, **change}), prepared, ledger).run()
    assert "already finished" not in capsys.readouterr().out


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_after_a_change_of_the_data_finished_trials_are_trained_again(
    sweep: Make, prepared: Path, ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], split: str
) -> None:
    plan = sweep({"lr": 0.001}, epochs=1)
    other = tmp_path / "processed"
    shutil.copytree(prepared, other)
    (path,) = other.glob(f"*/{split}.safetensors")
    tensors = files.read_tensors(path)
    tensors["images"][0] = 0
    files.write_tensors(path, tensors)
    Trainings("lr", plan, prepared, ledger).run()
    capsys.readouterr()
    Trainings("lr", plan, other, ledger).run()
    assert "already finished" not in capsys.readouterr().out


@pytest.mark.parametrize(("edit", "kept"), [("# a comment\n", True), ("OTHER = 1\n", False)])
def test_finished_trials_are_kept_while_they_are_scored_by_the_same_code(
    sweep: Make,
    prepared: Path,
    ledger: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    edit: str,
    kept: bool,
) -> None:
    plan = sweep({"lr": 0.001}, epochs=1)
    Trainings("lr", plan, prepared, ledger).run()
    edited = tmp_path / "evaluate.py"
    edited.write_text(Path(evaluation.__file__).read_text() + edit)
    monkeypatch.setattr(evaluation, "__file__", str(edited))
    capsys.readouterr()
    Trainings("lr", plan, prepared, ledger).run()
    assert ("already finished" in capsys.readouterr().out) == kept


def test_a_training_interrupted_while_it_was_saved_does_not_count(
    sweep: Make, prepared: Path, ledger: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = sweep({"lr": 0.001}, epochs=1)
    Trainings("lr", plan, prepared, ledger).run()
    (folder,) = ledger.iterdir()
    (folder / "finished.json").unlink()  # it is written last
    capsys.readouterr()
    Trainings("lr", plan, prepared, ledger).run()
    assert "already finished" not in capsys.readouterr().out


def test_clearing_removes_only_these_trainings_and_may_be_repeated(
    sweep: Make, prepared: Path, ledger: Path
) -> None:
    first = Trainings("strides", sweep({"model.strides": [4, 4]}), prepared, ledger)
    other = Trainings(
        "strides", sweep({"model.strides": [5, 5]}), prepared, ledger
    )  # another queued worker's
    first.run()
    other.run()
    first.clear()
    first.clear()
    assert len(list(ledger.iterdir())) == 1
    other.clear()
    assert not ledger.exists()


def test_clearing_removes_what_has_not_been_used_for_long(sweep: Make, prepared: Path, ledger: Path) -> None:
    old = time.time() - 8 * 24 * 3600
    for name, age in (("left", old), ("going-on", time.time())):
        checkpoint = ledger / name / "checkpoints/000001-00000001-00.safetensors"
        files.write_bytes(checkpoint, b"")
        os.utime(checkpoint, (age, age))
        for above in (checkpoint.parent, checkpoint.parent.parent):  # older than what is in them
            os.utime(above, (old, old))
    Trainings("strides", sweep({"model.strides": [4, 4]}), prepared, ledger).clear()
    assert [path.name for path in ledger.iterdir()] == ["going-on"]


def test_without_prepared_data_it_says_what_writes_it(sweep: Make, tmp_path: Path, ledger: Path) -> None:
    with pytest.raises(InputError, match=r"train\.safetensors: not there; `dvc repro` writes it"):
        Trainings("x", sweep(*THREE), tmp_path, ledger)
