"""Processes on one ledger (workers of DVC's queue): none loses what it counts on, none trains it twice."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from training import Make, rows, weights

from convlab import files
from convlab.config import dump_item
from convlab.interrupt import Interrupted, Request
from convlab.pipeline.ledger import Finished, Ledger
from convlab.pipeline.trainings import Trainings
from convlab.schema import Sweep

# A stage: train, look at the weights of each, then clear the ledger
STAGE = """
import sys
from pathlib import Path
from convlab.config import load_sweep
from convlab.pipeline.trainings import Trainings
plan, prepared, ledger = map(Path, sys.argv[1:])
trainings = Trainings("lr", load_sweep(plan), prepared, ledger)
ended = trainings.run()
print("weights", [len(done.weights.read_bytes()) for _, done in ended])
trainings.clear()
"""


def start(plan: Sweep, prepared: Path, folder: Path, number: int) -> subprocess.Popen[str]:
    files.write_text(folder / f"plan{number}.yaml", dump_item(plan))
    command = [sys.executable, "-u", "-c", STAGE, folder / f"plan{number}.yaml", prepared, folder / "ledger"]
    return subprocess.Popen(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


@pytest.mark.campaign
@pytest.mark.parametrize("workers", [1, 2])
def test_two_processes_on_one_ledger_train_what_both_want_once_and_both_get_it(
    sweep: Make, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    monkeypatch.setenv("CONVLAB_WORKERS", str(workers))
    short, long = sweep(*({"lr": lr} for lr in (0.001, 0.002)), epochs=3), [0.001, 0.002, 0.003, 0.004]
    plans = short, sweep(*({"lr": lr} for lr in long), epochs=3)
    started = [start(plan, prepared, tmp_path, number) for number, plan in enumerate(plans)]
    said = [process.communicate()[0] for process in started]
    assert [process.returncode for process in started] == [0, 0], "\n".join(said)
    assert sum(text.count(": ended at 3, kept ") for text in said) == 4
    assert [text.count("weights [") for text in said] == [1, 1]
    assert not (tmp_path / "ledger").exists()


def test_the_first_to_end_keeps_what_another_process_uses(
    sweep: Make, prepared: Path, tmp_path: Path
) -> None:
    plan = sweep({"lr": 0.001}, {"lr": 0.002}, epochs=1)
    first, second = (Trainings("lr", plan, prepared, tmp_path / "ledger") for _ in range(2))
    before = first.run()
    assert rows(second.run()) == rows(before)
    first.clear()
    ended = second.run()
    assert len(weights(ended)) == 2
    second.clear()
    assert not (tmp_path / "ledger").exists()


def test_a_process_that_is_killed_keeps_nobody_from_clearing(
    sweep: Make, prepared: Path, tmp_path: Path
) -> None:
    plan = sweep({"lr": 0.001}, epochs=500)
    with start(plan, prepared, tmp_path, 0) as process:
        assert process.stdout
        assert any("  2/500 " in line for line in process.stdout)
        Trainings("lr", plan, prepared, tmp_path / "ledger").clear()
        assert (tmp_path / "ledger").exists()  # it counts on its checkpoints
        process.kill()
    Trainings("lr", plan, prepared, tmp_path / "ledger").clear()
    assert not (tmp_path / "ledger").exists()


def test_a_process_that_waits_for_another_can_be_asked_to_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger, request = Ledger(tmp_path), Request()
    with ledger.turn("key", "lr 1/2", request):
        request.number = signal.SIGTERM
        with (
            pytest.raises(Interrupted, match="SIGTERM: lr 1/2 waited"),
            ledger.turn("key", "lr 1/2", request),
        ):
            pass
    assert capsys.readouterr().out == "lr 1/2: another process is training it; waiting\n"
    with ledger.turn("key", "lr 1/2", request):
        ledger.add("key", Finished("diverged", {}, "why"), None)
    assert capsys.readouterr().out == ""
