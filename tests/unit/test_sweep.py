import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from convlab import files
from convlab.config import dump_item
from convlab.schema import Experiment, Sweep, Trial
from convlab.sweep import Finished, Ledger, run_trials
from convlab.train.run import fingerprint_of

Make = Callable[..., Sweep]


@pytest.fixture(scope="session")
def sweep(recipe: Callable[..., Experiment]) -> Make:
    """A sweep over points such as `{"lr": 0.1}`; each trial is named after its point."""

    def make(*points: dict[str, Any], **common: Any) -> Sweep:
        trials = [
            Trial(
                name="_".join(f"{key.split('.')[-1]}-{value}" for key, value in point.items()).replace(
                    " ", ""
                ),
                overrides=point,
                experiment=recipe({**common, **point}),
            )
            for point in points
        ]
        return Sweep(trials=trials)

    return make


THREE = {"lr": 0.001}, {"lr": 0.002}, {"lr": 0.005}
FEASIBLE_AND_NOT = {"model.strides": [1, 1]}, {"model.strides": [4, 4]}, {"model.strides": [2, 1]}


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger")


def rows(trials: list[Finished]) -> list[dict[str, Any]]:
    return [trial.row for trial in trials]


# --------------------------------------------------------------------------------------------------- the rows


def test_an_infeasible_trial_is_a_row_with_its_reason_and_the_others_are_trained(
    sweep: Make, prepared: Path, ledger: Ledger
) -> None:
    first, second, third = run_trials("strides", sweep(*FEASIBLE_AND_NOT, epochs=1), prepared, ledger)
    assert [trial.row["status"] for trial in (first, second, third)] == ["finished", "infeasible", "finished"]
    assert second.row["reason"] == "block 2 has a 1×1 map left, too small for its 2×2 pooling"
    assert second.row["overrides"] == {"model.strides": [4, 4]}
    assert (second.curves, second.timing, second.weights) == ([], {}, None)
    for trial in (first, third):
        assert trial.row["seed"] == 1
        assert trial.row["parameters"] > 0
        assert 0 <= trial.row["test"]["accuracy"] <= 1
        assert [record["epoch"] for record in trial.curves] == [1]
        assert trial.weights is not None
        assert files.read_tensors(trial.weights)


def test_a_trial_that_diverges_is_a_row_with_its_reason(sweep: Make, prepared: Path, ledger: Ledger) -> None:
    bad, good = run_trials("lr", sweep({"lr": 1e30}, {"lr": 0.01}, epochs=1), prepared, ledger)
    assert bad.row["status"] == "diverged"
    assert "in epoch 1 at lr 1e+30" in bad.row["reason"]
    assert good.row["status"] == "finished"


def test_rows_can_be_written_as_json_and_read_back_equal(
    sweep: Make, prepared: Path, ledger: Ledger, tmp_path: Path
) -> None:
    found = rows(run_trials("strides", sweep(*FEASIBLE_AND_NOT, epochs=1), prepared, ledger))
    files.write_json(tmp_path / "trials.json", found)
    assert files.read_json(tmp_path / "trials.json") == found


def test_the_order_of_trials_changes_nothing_in_their_rows(
    sweep: Make, prepared: Path, tmp_path: Path
) -> None:
    forward = rows(run_trials("lr", sweep(*THREE, epochs=1), prepared, Ledger(tmp_path / "a")))
    torch.manual_seed(5)
    backward = rows(run_trials("lr", sweep(*THREE[::-1], epochs=1), prepared, Ledger(tmp_path / "b")))
    assert forward == backward[::-1]


# ------------------------------------------------------------------------------------------------- the ledger


def test_finished_trials_are_not_trained_again(
    sweep: Make, prepared: Path, ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = sweep(*FEASIBLE_AND_NOT, epochs=1)
    before = run_trials("strides", plan, prepared, ledger)
    capsys.readouterr()
    after = run_trials("strides", plan, prepared, ledger)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert all(line.endswith("finished before the cut-off, kept") for line in lines)
    assert after == before


def test_a_trial_is_found_under_its_own_fingerprint_alone(
    sweep: Make, prepared: Path, ledger: Ledger
) -> None:
    (trial,) = (plan := sweep({"lr": 0.001}, epochs=1)).trials
    (finished,) = run_trials("lr", plan, prepared, ledger)
    fingerprint = fingerprint_of(trial.experiment, prepared / trial.experiment.data_key())
    assert ledger.find(trial, fingerprint) == finished
    assert ledger.find(trial, "another") is None


@pytest.mark.parametrize("change", [{"epochs": 2}, {"batch_size": 32}, {"l2": 0.01}, {"model.dropout": 0.5}])
def test_after_a_change_of_the_configuration_finished_trials_are_trained_again(
    sweep: Make, prepared: Path, ledger: Ledger, capsys: pytest.CaptureFixture[str], change: dict[str, Any]
) -> None:
    run_trials("lr", sweep({"lr": 0.001}, epochs=1), prepared, ledger)
    capsys.readouterr()
    run_trials("lr", sweep({"lr": 0.001}, **{"epochs": 1, **change}), prepared, ledger)
    assert "kept" not in capsys.readouterr().out


def test_after_a_change_of_the_data_finished_trials_are_trained_again(
    sweep: Make, prepared: Path, ledger: Ledger, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = sweep({"lr": 0.001}, epochs=1)
    other = tmp_path / "processed"
    shutil.copytree(prepared, other)
    (path,) = other.glob("*/train.safetensors")
    tensors = files.read_tensors(path)
    tensors["images"][0] = 0
    files.write_tensors(path, tensors)
    run_trials("lr", plan, prepared, ledger)
    capsys.readouterr()
    run_trials("lr", plan, other, ledger)
    assert "kept" not in capsys.readouterr().out


def test_a_trial_cut_off_while_it_was_put_down_is_not_there(
    sweep: Make, prepared: Path, ledger: Ledger
) -> None:
    plan = sweep({"lr": 0.001}, epochs=1)
    run_trials("lr", plan, prepared, ledger)
    (folder,) = ledger.folder.iterdir()
    (folder / "trial.json").unlink()  # it is written last
    trial = plan.trials[0]
    assert (
        ledger.find(trial, fingerprint_of(trial.experiment, prepared / trial.experiment.data_key())) is None
    )


def test_a_cleared_ledger_is_gone_and_may_be_cleared_again(
    sweep: Make, prepared: Path, ledger: Ledger
) -> None:
    run_trials("strides", sweep({"model.strides": [4, 4]}), prepared, ledger)
    assert ledger.folder.exists()
    ledger.clear()
    ledger.clear()
    assert not ledger.folder.exists()


SCRIPT = """
import sys
from pathlib import Path
from convlab.config import load_sweep
from convlab.sweep import Ledger, run_trials
plan, prepared, ledger = map(Path, sys.argv[1:])
run_trials("lr", load_sweep(plan), prepared, Ledger(ledger))
"""


def test_a_killed_sweep_goes_on_where_it_stopped_and_ends_as_if_it_had_not(
    sweep: Make, prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = sweep(*THREE, epochs=6)
    files.write_text(tmp_path / "plan.yaml", dump_item(plan))
    folder = tmp_path / "killed"
    command = [sys.executable, "-u", "-c", SCRIPT, tmp_path / "plan.yaml", prepared, folder]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            for line in process.stdout:
                if line.startswith("lr 2/3 ") and " epoch 1/6 " in line:
                    break
        finally:
            process.kill()
    assert process.returncode == -signal.SIGKILL
    kept = {path.parent.name: path.stat().st_mtime_ns for path in folder.glob("*/trial.json")}
    assert 1 <= len(kept) < 3

    capsys.readouterr()
    resumed = run_trials("lr", plan, prepared, Ledger(folder))
    assert capsys.readouterr().out.count("finished before the cut-off, kept") == len(kept)
    assert all((folder / name / "trial.json").stat().st_mtime_ns == kept[name] for name in kept)

    uninterrupted = run_trials("lr", plan, prepared, Ledger(tmp_path / "uninterrupted"))
    assert rows(resumed) == rows(uninterrupted)
    assert [trial.curves for trial in resumed] == [trial.curves for trial in uninterrupted]
    for one, other in zip(resumed, uninterrupted, strict=True):
        assert one.weights
        assert other.weights
        assert one.weights.read_bytes() == other.weights.read_bytes()
