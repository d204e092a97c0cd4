"""`dvc repro` of one item, with a deadline, and never alongside another campaign."""

import os
import signal
import subprocess
import time
from contextlib import suppress
from typing import IO, Literal

from convlab import files
from convlab.config import load_params
from convlab.interrupt import Interrupted, deferred
from convlab.pipeline.kept import bring_back, selecting
from convlab.pipeline.repro import command, environment
from convlab.pipeline.selection_lock import note

POLL = 0.2  # seconds
Ended = Literal["done", "failed", "out of time"]


def reproduce(name: str, sweep: bool, lock: IO[str], until: float | None) -> Ended:
    """Run `dvc repro` for all of an experiment or a sweep, selected or not; see `repro`.

    Its former result, which DVC removes before it trains, is restored from git if it did not end, however
    that came; not if params.yaml selects it, for then the next `dvc repro` resumes it.
    """
    params = load_params(files.PARAMS)
    run = params.run if sweep else [*params.run, name]
    run_sweeps = [*params.run_sweeps, name] if sweep else params.run_sweeps
    try:
        with selecting(dict.fromkeys(run), dict.fromkeys(run_sweeps)):
            return repro([f"{'visualize_sweep' if sweep else 'visualize'}@{name}"], lock, until)
    finally:
        bring_back([*params.run, *params.run_sweeps])


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
        Interrupted: SIGINT, SIGTERM or SIGHUP came; what was running got SIGINT, and has ended.
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
