"""Parallel trainings that are killed, asked to end, or fail: no orphan, nothing lost, one line."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from training import THREE, Make, rows, weights

from convlab import files
from convlab.config import dump_item
from convlab.data.dataset import Prepared, save
from convlab.errors import InputError
from convlab.pipeline.trainings import Trainings
from convlab.schema import Experiment

SCRIPT = """
import sys
from pathlib import Path
from convlab.config import load_sweep
from convlab.pipeline.trainings import Trainings
plan, prepared, ledger = map(Path, sys.argv[1:])
Trainings("lr", load_sweep(plan), prepared, ledger).run()
"""


def children(process: int) -> list[int]:
    found = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [child for one in map(int, found) for child in (one, *children(one))]


def wait_for_the_end_of(family: list[int]) -> None:
    while any(Path(f"/proc/{one}").exists() for one in family):  # forever, if an orphan keeps training
        time.sleep(0.05)


@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.campaign), 2])
def test_a_killed_sweep_leaves_no_orphan_and_resumes_to_the_same_result(
    sweep: Make,
    prepared: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    workers: int,
) -> None:
    plan = sweep(*THREE, {"lr": 0.003}, epochs=6)
    files.write_text(tmp_path / "plan.yaml", dump_item(plan))
    folder = tmp_path / "killed"
    monkeypatch.setenv("CONVLAB_WORKERS", str(workers))
    command = [sys.executable, "-u", "-c", SCRIPT, tmp_path / "plan.yaml", prepared, folder]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            for line in process.stdout:
                if line.startswith("lr 3/4 ") and " epoch 1/6 " in line:
                    break
            family = children(process.pid) if Path("/proc").is_dir() else []
        finally:
            process.kill()
    assert process.returncode == -signal.SIGKILL
    assert len(family) >= workers - 1
    wait_for_the_end_of(family)
    kept = {path.parent.name: path.stat().st_mtime_ns for path in folder.glob("*/finished.json")}
    assert 1 <= len(kept) < 4

    monkeypatch.setenv("CONVLAB_WORKERS", "1")
    capsys.readouterr()
    resumed = Trainings("lr", plan, prepared, folder).run()
    assert capsys.readouterr().out.count("already finished, kept") == len(kept)
    assert all((folder / name / "finished.json").stat().st_mtime_ns == kept[name] for name in kept)

    uninterrupted = Trainings("lr", plan, prepared, tmp_path / "uninterrupted").run()
    assert rows(resumed) == rows(uninterrupted)
    assert [finished.curves for _, finished in resumed] == [finished.curves for _, finished in uninterrupted]
    assert weights(resumed) == weights(uninterrupted)


@pytest.mark.campaign
def test_a_worker_that_is_killed_from_outside_is_one_line_and_the_finished_are_kept(
    sweep: Make, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = sweep(*THREE, epochs=400)
    monkeypatch.setenv("CONVLAB_WORKERS", "2")
    files.write_text(tmp_path / "plan.yaml", dump_item(plan))
    command = [sys.executable, "-u", "-c", SCRIPT, tmp_path / "plan.yaml", prepared, tmp_path / "ledger"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        for line in process.stdout:
            if " epoch " in line:
                break
        for child in children(process.pid):
            if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                os.kill(child, signal.SIGKILL)
                break
        _, errors = process.communicate()
    assert process.returncode == 1
    assert "out of memory?" in errors
    assert "with CONVLAB_WORKERS=1 if memory is short" in errors


def test_an_error_in_one_training_ends_the_others_at_once(
    recipe: Callable[..., Experiment],
    sweep: Make,
    digits: Prepared,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CONVLAB_WORKERS", "2")
    other = {"preprocess.scaling": "zscore_image"}
    for changes in ({}, other):
        save(digits, tmp_path / "prepared" / recipe(changes).data_key())
    trainings = Trainings(
        "x", sweep({"lr": 0.001}, other, {"lr": 0.002}, epochs=10_000), tmp_path / "prepared", tmp_path / "l"
    )
    (tmp_path / "prepared" / recipe(other).data_key() / "train.safetensors").unlink()
    with pytest.raises(InputError, match=r"train\.safetensors: not there"):
        trainings.run()  # 10,000 epochs of the others would take an hour


@pytest.mark.campaign
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_workers_that_are_asked_to_end_write_checkpoints_and_resume(
    sweep: Make, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    plan = sweep(*THREE, epochs=20)
    monkeypatch.setenv("CONVLAB_WORKERS", "2")
    files.write_text(tmp_path / "plan.yaml", dump_item(plan))
    command = [sys.executable, "-u", "-c", SCRIPT, tmp_path / "plan.yaml", prepared, tmp_path / "ledger"]
    pipe = subprocess.PIPE
    with subprocess.Popen(list(map(str, command)), stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout
        seen: set[str] = set()
        for line in process.stdout:
            seen |= {line[:6]} if " epoch " in line else set()
            if len(seen) == 2:
                break
        family = children(process.pid)
        process.send_signal(number)
        _, errors = process.communicate()
    assert process.returncode == 1  # the script does not turn it into an exit status
    assert errors.endswith(f"Interrupted: {number.name}: stopped 2 parallel trainings\n")
    wait_for_the_end_of(family)
    assert len(list(tmp_path.glob("ledger/*/checkpoints"))) == 2

    resumed = Trainings("lr", plan, prepared, tmp_path / "ledger").run()
    whole = Trainings("lr", plan, prepared, tmp_path / "whole").run()
    assert rows(resumed) == rows(whole)
    assert weights(resumed) == weights(whole)
    assert sum(finished.timing["cut_offs"] for _, finished in resumed) == 2


@pytest.mark.campaign
def test_ctrl_c_while_the_workers_start_is_no_traceback_of_theirs(
    sweep: Make, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONVLAB_WORKERS", "2")
    files.write_text(tmp_path / "plan.yaml", dump_item(sweep(*THREE, epochs=20)))
    command = [sys.executable, "-c", SCRIPT, tmp_path / "plan.yaml", prepared, tmp_path / "ledger"]
    with subprocess.Popen(
        list(map(str, command)),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        while len(children(process.pid)) < 3:  # two workers, and what tracks their resources
            assert process.poll() is None
            time.sleep(0.02)
        time.sleep(0.5)  # the workers import
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        _, errors = process.communicate()
    assert "KeyboardInterrupt" not in errors
    assert errors.endswith("Interrupted: SIGINT: stopped 2 parallel trainings\n")
