"""`dvc repro` of one item, with a deadline, and never alongside another campaign."""

import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Literal

from convlab import files
from convlab.config import load_params
from convlab.errors import InputError
from convlab.interrupt import Interrupted, deferred
from convlab.pipeline.kept import selecting
from convlab.pipeline.repro import command, environment

POLL = 0.2  # seconds
Ended = Literal["done", "failed", "out of time"]


@contextmanager
def campaign_lock() -> Iterator[IO[str]]:
    """Hold the campaign's lock inside the context; a child that inherits its file holds the lock, too.

    So the lock of a campaign that was killed is released only when its `dvc repro` has ended.

    Raises:
        InputError: another campaign has it.
    """
    path = files.scratch() / "campaign.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o644), "r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"{path}: a campaign is running here ({file.read().strip() or 'starting'}); "
                "wait for it to end, or stop it with `kill -INT PROCESS` (if that was killed: "
                "`kill -INT -- -GROUP`)"
            ) from None
        note(file, f"process {os.getpid()}")
        yield file


def note(lock: IO[str], text: str) -> None:
    """Write into the lock's file what another campaign will print."""
    content = text.encode()  # over what is there, and without a buffer: on a full disk that still works
    os.pwrite(lock.fileno(), content, 0)
    os.ftruncate(lock.fileno(), len(content))


def reproduce(name: str, sweep: bool, lock: IO[str], until: float | None) -> Ended:
    """Run `dvc repro` for all of an experiment or a sweep, selected or not; see `repro`."""
    params = load_params(files.PARAMS)
    run = params.run if sweep else [*params.run, name]
    run_sweeps = [*params.run_sweeps, name] if sweep else params.run_sweeps
    with selecting(dict.fromkeys(run), dict.fromkeys(run_sweeps)):
        return repro([f"{'visualize_sweep' if sweep else 'visualize'}@{name}"], lock, until)


def reproduce_selection(lock: IO[str]) -> None:
    """Reproduce what comes before training, for the selection of params.yaml: seconds, and no training."""
    params = load_params(files.PARAMS)
    prepared = [f"preprocess@{name}" for name in params.run]
    prepared += [f"preprocess_sweep@{name}" for name in params.run_sweeps]
    repro(["resolve", "download", *prepared], lock, None)


def repro(targets: list[str], lock: IO[str], until: float | None) -> Ended:
    """Run `dvc repro` for these stages, in a process group of its own; return how it ended.

    `until`: when, by time.monotonic, they are asked to write a checkpoint and end; None: never.

    Raises:
        Interrupted: SIGINT or SIGTERM came; what was running got SIGINT, and has ended.
    """
    asked = False
    with (
        deferred() as request,
        subprocess.Popen(
            command(*targets),
            env=environment(),
            process_group=0,
            pass_fds=(lock.fileno(),),
        ) as process,
    ):
        with suppress(OSError):  # a full disk: a second campaign is refused all the same
            note(lock, f"process {os.getpid()}; its `dvc repro`: process group {process.pid}")
        while process.poll() is None:
            late = until is not None and time.monotonic() >= until
            if not asked and (request.number is not None or late):
                os.killpg(process.pid, signal.SIGINT)
                asked = True
            time.sleep(POLL)
    if request.number is not None:
        raise Interrupted(request.number, "the campaign stopped")
    if process.returncode == 0:
        return "done"
    return "out of time" if asked else "failed"
