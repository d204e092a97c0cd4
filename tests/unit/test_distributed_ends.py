"""A training on two processes ends: killed, asked to, short of memory, by an error of either of them."""

import errno
import os
import signal
import threading
import time
from multiprocessing import active_children
from multiprocessing.connection import wait
from pathlib import Path
from traceback import format_exception
from typing import Any

import pytest
import torch.distributed as dist
from test_distributed import GENTLE, TOLERANCE, furthest
from torch import OutOfMemoryError
from training import Recipe

from convlab.errors import InputError
from convlab.interrupt import Interrupted, Request
from convlab.pipeline.devices import train_on_devices
from convlab.pipeline.executors.job import train_job
from convlab.pipeline.ledger import Ledger
from convlab.pipeline.run import train
from convlab.pipeline.trainings import Trainings
from convlab.train.checkpoint import Checkpoints
from convlab.train.distributed.checkpoints import CheckpointsOfAll
from convlab.train.history import Diverged


@pytest.mark.campaign
def test_a_killed_process_ends_the_training_and_one_device_resumes_from_its_checkpoint(
    recipe: Recipe, prepared: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = recipe(GENTLE, epochs=4)
    folder = prepared / settings.data_key()
    whole = train("whole", settings, folder)

    with pytest.raises(Interrupted):  # one device begins, and is asked to end at once
        train("digits", settings, folder, Checkpoints(tmp_path, request(signal.SIGTERM)))
    begun = {path.name for path in tmp_path.iterdir()}
    assert begun

    def kill() -> None:
        while not {path.name for path in tmp_path.glob("[0-9]*")} - begun:
            time.sleep(0.01)
        os.kill(max(active_children(), key=lambda one: one.pid or 0).pid or 0, signal.SIGKILL)

    killing = threading.Thread(target=kill)
    killing.start()
    with pytest.raises(InputError) as killed:  # two resume, and one of them is killed
        train_on_devices(
            "digits", settings.model_copy(update={"devices": 2}), folder, Checkpoints(tmp_path, seconds=0)
        )
    killing.join()
    said = "the process of device 2 of 2 was killed from outside (SIGKILL; out of memory?)"
    assert str(killed.value) == f"digits: {said}; run it again to resume from its last checkpoint"
    out, err = capfd.readouterr()
    assert out.count("resuming at epoch 1, step 1") == 1
    assert "Traceback" not in err
    assert not active_children()

    resumed = train("digits", settings, folder, Checkpoints(tmp_path))  # and one ends it
    assert resumed.timing["cut_offs"] == 2
    assert furthest(resumed.curves, whole.curves) < TOLERANCE


def test_asked_to_end_while_its_processes_start_it_ends_as_asked(
    recipe: Recipe, prepared: Path, tmp_path: Path
) -> None:
    settings = recipe(GENTLE, devices=2)
    asked = Request()
    asked.number = signal.SIGINT  # before the first process can hear of it
    with pytest.raises(Interrupted, match="SIGINT: digits stopped while its processes started"):
        train_on_devices("digits", settings, prepared / settings.data_key(), Checkpoints(tmp_path, asked))
    assert not active_children()


@pytest.mark.campaign
def test_asked_to_end_both_processes_do_so_after_the_same_step(
    recipe: Recipe, prepared: Path, tmp_path: Path
) -> None:
    settings = recipe(GENTLE, epochs=1000, devices=2)
    asked = Request()

    def ask() -> None:
        while not any(tmp_path.glob("[0-9]*")):
            time.sleep(0.01)
        asked.number = signal.SIGINT

    asking = threading.Thread(target=ask)
    asking.start()
    with pytest.raises(Interrupted, match=r"SIGINT: digits stopped (at|after) epoch \d+") as ended:
        train_on_devices(
            "digits", settings, prepared / settings.data_key(), Checkpoints(tmp_path, asked, "digits", 0)
        )
    asking.join()
    assert ended.value.number == signal.SIGINT
    assert not active_children()


def test_a_signal_while_all_are_told_of_none_is_told_at_the_next_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Request()
    checkpoints = CheckpointsOfAll(tmp_path, asked, "digits", 1000)
    monkeypatch.setattr(dist, "broadcast", lambda told, source: setattr(asked, "number", signal.SIGTERM))
    assert not checkpoints.due()
    assert checkpoints.request.number is None, "the other processes have not heard of it"
    assert checkpoints.due()
    assert checkpoints.request.number == signal.SIGTERM


class Faulty(type(Path())):  # type: ignore[misc]
    """A folder of checkpoints into which one of the processes cannot look."""

    rank: int
    error: Exception

    def __reduce__(self) -> Any:
        return faulty, (str(self), self.rank, self.error)

    def glob(self, pattern: str) -> Any:
        if dist.is_initialized() and dist.get_rank() == self.rank:  # the parent may look
            raise self.error
        return super().glob(pattern)


def faulty(folder: str, rank: int, error: Exception) -> Faulty:
    found = Faulty(folder)
    found.rank, found.error = rank, error
    return found


SHORT = OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
UNREADABLE = InputError("data/processed: found nothing; run `dvc repro`")
FULL = OSError(errno.ENOSPC, "No space left on device", "weights.safetensors")


@pytest.mark.campaign
@pytest.mark.parametrize(
    ("rank", "error"),
    [(0, SHORT), (1, SHORT), (1, UNREADABLE), (1, FULL), (1, KeyError("statistics"))],
)
def test_an_error_of_any_process_is_that_of_the_training(
    rank: int, error: Exception, recipe: Recipe, prepared: Path, tmp_path: Path
) -> None:
    settings = recipe(GENTLE, devices=2)
    folder = faulty(str(tmp_path), rank, error)
    known = type(error) if error in (SHORT, UNREADABLE, FULL) else RuntimeError
    with pytest.raises(known) as ended:  # and not what gloo tells the other one
        train_on_devices("digits", settings, prepared / settings.data_key(), Checkpoints(folder))
    assert type(ended.value) is known
    told = "".join(format_exception(ended.value))
    assert f"{type(error).__name__}: {error}" in told
    assert "in glob" in told  # where it occurred
    assert "gloo" not in told
    assert not active_children()


@pytest.mark.campaign
def test_a_gpu_short_of_memory_is_one_line_with_several_devices_too(
    recipe: Recipe, prepared: Path, tmp_path: Path
) -> None:
    class Short(Ledger):
        def checkpoints(self, key: str) -> Path:
            return faulty(str(super().checkpoints(key)), 1, SHORT)

    (job,) = Trainings("digits", recipe(devices=2), prepared, tmp_path).jobs
    with pytest.raises(InputError, match="digits: batch_size: found 64, for which the GPU has too little"):
        train_job(job, Short(tmp_path), 1)


class Patient(type(Path())):  # type: ignore[misc]
    """A folder of checkpoints in which the first process is asked to end, and then waits to write."""

    def glob(self, pattern: str) -> Any:
        found = list(super().glob(pattern))
        if dist.get_rank() == 0 and not found:
            os.kill(os.getpid(), signal.SIGTERM)
        while dist.get_rank() == 0 and found and not (self / "go on").exists():
            time.sleep(0.01)
        return found


@pytest.mark.campaign
def test_it_sleeps_until_the_first_process_answers_when_another_has_ended(
    recipe: Recipe, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = recipe(GENTLE, devices=2)
    ready: list[int] = []

    def counted(connections: Any, timeout: float) -> Any:
        found = wait(connections, timeout)
        if found or ready:
            ready.append(len(found))
        if len(ready) == 3:
            (tmp_path / "go on").touch()
        return found

    monkeypatch.setattr("convlab.pipeline.devices.wait", counted)
    with pytest.raises(Interrupted, match="SIGTERM: digits stopped at epoch 1, step 1"):
        train_on_devices(
            "digits", settings, prepared / settings.data_key(), Checkpoints(Patient(tmp_path), label="digits")
        )
    assert ready[:3] == [1, 0, 0]  # the other one's end wakes it once


@pytest.mark.campaign
def test_a_training_that_diverges_says_so_as_on_one_device(recipe: Recipe, prepared: Path) -> None:
    settings = recipe({"model.norm": "none", **GENTLE, "lr": 1e20}, devices=2)
    with pytest.raises(Diverged, match="in epoch 1, step"):
        train_on_devices("digits", settings, prepared / settings.data_key())


def request(number: int) -> Request:
    found = Request()
    found.number = number
    return found
