"""Trainings on this machine: one after the other, or side by side in a pool of processes."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection

from convlab.errors import InputError, replace_unprintable
from convlab.interrupt import Interrupted, deferred, end_with_parent
from convlab.pipeline.executors.job import Job, train_job
from convlab.pipeline.executors.relay import forward, to_parent
from convlab.pipeline.executors.workers import WORKERS, workers_asked_for
from convlab.pipeline.ledger import Ledger
from convlab.schema import Experiment
from convlab.train import progress
from convlab.train.device import ALL_THREADS, select_device

POLL = 0.2  # seconds between checks for messages of workers, and for a request to end


def run_in_processes(jobs: Sequence[Job], ledger: Ledger) -> None:
    """Run jobs on this machine (see `Executor`)."""
    workers = at_once([job.trial.experiment for job in jobs])
    if workers > 1:
        _side_by_side(jobs, ledger, workers)
    else:
        for job in jobs:
            train_job(job, ledger, workers)


def at_once(experiments: Sequence[Experiment]) -> int:
    """Return how many of these trainings run side by side, each in a process of its own.

    On a CPU as many as there are cores for their `threads`, on a GPU one; CONVLAB_WORKERS overrules both.
    No result depends on it.

    Raises:
        InputError: CONVLAB_WORKERS is not a number from 1 up.
    """
    if wanted := workers_asked_for():
        most = wanted
    elif any(select_device(experiment.device).type == "cuda" for experiment in experiments):
        most = 1
    else:
        most = ALL_THREADS // max(
            ((one.threads or ALL_THREADS) * one.devices for one in experiments), default=1
        )
    return max(1, min(most, len(experiments)))


def prepare_worker(parent: Connection | None = None) -> None:
    """Let a worker end with its parent (SIGKILL must leave no orphan), and send its output there."""
    replace_unprintable()
    if parent:
        relay = to_parent(parent)
        progress.report_to(relay)
        sys.stdout = sys.stderr = relay
    end_with_parent()


def _side_by_side(jobs: Sequence[Job], ledger: Ledger, workers: int) -> None:
    spawn = multiprocessing.get_context("spawn")  # a fork would copy PyTorch's locks, but not its threads
    ours, theirs = spawn.Pipe(duplex=False)
    pool = ProcessPoolExecutor(workers, spawn, prepare_worker, (theirs,))
    with deferred() as request, ours, theirs, pool:
        # Ctrl-C reaches workers too; they inherit that it is ignored, and the parent passes it on.
        noting = signal.signal(signal.SIGINT, signal.SIG_IGN)
        futures = [pool.submit(_work, job, ledger, workers) for job in jobs]
        signal.signal(signal.SIGINT, noting)
        running, errors = set(futures), list[BaseException]()
        while running and not errors and request.number is None:
            done, running = wait(futures, POLL, FIRST_EXCEPTION)
            forward(ours)
            errors = [error for future in done if (error := future.exception())]
        if errors or request.number is not None:
            _end(pool, ours)  # the others write checkpoints
        forward(ours)
    if request.number is not None:
        raise Interrupted(request.number, f"stopped {workers} parallel trainings")
    if any(isinstance(error, BrokenProcessPool) for error in errors):
        raise InputError(
            f"a training's process was killed from outside (out of memory?) while {workers} ran at once; the "
            f"finished ones are kept: run it again, with {WORKERS}=1 if memory is short"
        )
    if errors:
        raise errors[0]


def _work(job: Job, ledger: Ledger, workers: int) -> None:
    """Run a job in a worker. Asked to end, it has written a checkpoint, and takes no further job."""
    try:
        train_job(job, ledger, workers)
    except Interrupted as ended:
        os._exit(128 + ended.number)


def _end(pool: ProcessPoolExecutor, ours: Connection) -> None:
    """Ask every worker to end, until all have."""
    pool.shutdown(wait=False, cancel_futures=True)
    while workers := multiprocessing.active_children():
        for worker in workers:
            worker.terminate()
            worker.join(POLL)
            forward(ours)
