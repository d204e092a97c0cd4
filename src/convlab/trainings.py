"""Run trainings (an experiment's seeds, a sweep's trials), as many at once as there are cores for.

Each that ends goes into the ledger at once: a run that is cut off goes on with those that are missing.
"""

import multiprocessing
import os
import signal
import threading
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from convlab import evaluate as evaluation
from convlab import files
from convlab.config import trials_of
from convlab.errors import InputError, print_anything
from convlab.interrupt import Interrupted, deferred
from convlab.ledger import Finished, Ledger
from convlab.models.layers import InfeasibleGeometry
from convlab.provenance import hash_files
from convlab.schema import Experiment, Sweep, Trial
from convlab.train.checkpoint import Checkpoints
from convlab.train.device import ALL_THREADS, select_device
from convlab.train.history import Diverged
from convlab.train.run import fingerprint_of, train

WORKERS = "CONVLAB_WORKERS"
POLL = 0.5  # seconds between looks at whether somebody asked for the end


@dataclass(frozen=True)
class Job:
    """A training to run: `key` is its place in the ledger, `folder` holds the prepared data."""

    label: str
    trial: Trial
    folder: Path
    fingerprint: str
    key: str
    scored: bool


class Trainings:
    """The trainings of an experiment or a sweep, with the ledger that they are kept in."""

    def __init__(self, name: str, item: Experiment | Sweep, prepared: Path, ledger: Path):
        self.ledger = Ledger(ledger)
        trials = trials_of(name, item)
        self.jobs = [
            _job(_label(name, item, trial, number), trial, prepared, isinstance(item, Sweep))
            for number, trial in enumerate(trials, start=1)
        ]

    def run(self) -> list[tuple[Trial, Finished]]:
        """Run what the ledger does not hold yet, and give every training with how it ended, in their order.

        Raises:
            InputError: CONVLAB_WORKERS is not a number; or a process was killed from outside.
        """
        missing = []
        for job in self.jobs:
            if self.ledger.find(job.key):
                print(f"{job.label}: already finished, kept", flush=True)
            else:
                missing.append(job)
        workers = at_once([job.trial.experiment for job in missing])
        if workers > 1:
            _side_by_side(missing, self.ledger, workers)
        else:
            for job in missing:
                _run(job, self.ledger, workers)
        return [(job.trial, self._find(job)) for job in self.jobs]

    def clear(self) -> None:
        """Empty the ledger, once the results are where the stage declares them."""
        self.ledger.drop(job.key for job in self.jobs)

    def _find(self, job: Job) -> Finished:
        finished = self.ledger.find(job.key)
        if finished is None:
            raise InputError(f"{job.label}: gone from {self.ledger.folder}; run it again")
        return finished


def at_once(experiments: list[Experiment]) -> int:
    """Say how many of these trainings run side by side, each in a process of its own.

    On a CPU as many as there are cores for their `threads`, on a GPU one; CONVLAB_WORKERS overrules both.
    No result depends on it.

    Raises:
        InputError: CONVLAB_WORKERS is not a number from 1 up.
    """
    wanted = os.environ.get(WORKERS, "")
    if wanted and not (wanted.isdecimal() and int(wanted)):
        raise InputError(f"{WORKERS}: found {wanted!r}; allowed: a whole number from 1 up, or nothing")
    if wanted:
        most = int(wanted)
    elif any(select_device(experiment.device).type == "cuda" for experiment in experiments):
        most = 1
    else:
        most = ALL_THREADS // max((one.threads or ALL_THREADS for one in experiments), default=1)
    return max(1, min(most, len(experiments)))


def _job(label: str, trial: Trial, prepared: Path, scored: bool) -> Job:
    folder = prepared / trial.experiment.data_key()
    try:
        fingerprint = fingerprint_of(trial.experiment, folder)
        key = f"{files.training(trial.experiment.seed, trial.name)}-{fingerprint}"
        if scored:
            key += f"-{hash_files([folder / 'test.safetensors', Path(evaluation.__file__)])[:8]}"
    except FileNotFoundError as error:
        raise InputError(f"{error.filename}: not there; `dvc repro` writes it") from None
    return Job(label, trial, folder, fingerprint, key, scored)


def _label(name: str, item: Experiment | Sweep, trial: Trial, number: int) -> str:
    seed = trial.experiment.seed
    if isinstance(item, Sweep):
        return f"{name} {number}/{len(item.trials)} {files.training(seed, trial.name)}"
    return f"{name} seed {seed}" if item.seeds > 1 else name


def _run(job: Job, ledger: Ledger, workers: int) -> None:
    """Train one, score it if asked to, and put it into the ledger."""
    identity = {"seed": job.trial.experiment.seed, "fingerprint": job.fingerprint}
    try:
        with deferred() as request:
            checkpoints = Checkpoints(ledger.checkpoints(job.key), request, job.label)
            trained = train(job.label, job.trial.experiment, job.folder, checkpoints)
    except (InfeasibleGeometry, Diverged) as error:
        status = "infeasible" if isinstance(error, InfeasibleGeometry) else "diverged"
        print(f"{job.label}: {status}: {error}", flush=True)
        ledger.add(job.key, Finished(status, identity, str(error)), None)
        return
    scores = {}
    if job.scored:
        scores = evaluation.evaluate(trained.model, job.trial.experiment, job.folder).scores
    finished = Finished(
        "finished",
        {**trained.results, **scores},
        curves=trained.curves,
        iterations=trained.iterations,
        timing={**trained.timing, "at_once": workers},
    )
    ledger.add(job.key, finished, trained)
    if request.number is not None:  # too late for a checkpoint
        raise Interrupted(request.number, f"stopped after {job.label}")


def _side_by_side(jobs: list[Job], ledger: Ledger, workers: int) -> None:
    spawn = multiprocessing.get_context("spawn")  # a fork would copy PyTorch's threads in mid-air
    with deferred() as request, ProcessPoolExecutor(workers, spawn, _prepare_worker) as pool:
        # Ctrl-C reaches workers too; they inherit that it is ignored, and the parent passes it on.
        noting = signal.signal(signal.SIGINT, signal.SIG_IGN)
        futures = [pool.submit(_work, job, ledger, workers) for job in jobs]
        signal.signal(signal.SIGINT, noting)
        running, errors = set(futures), list[BaseException]()
        while running and not errors and request.number is None:
            done, running = wait(futures, POLL, FIRST_EXCEPTION)
            errors = [error for future in done if (error := future.exception())]
        if errors or request.number is not None:
            _end(pool)  # the others write checkpoints
    if request.number is not None:
        raise Interrupted(request.number, f"stopped in {workers} trainings at once")
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
        _run(job, ledger, workers)
    except Interrupted as ended:
        os._exit(128 + ended.number)


def _end(pool: ProcessPoolExecutor) -> None:
    """Ask every worker to end, until all have."""
    pool.shutdown(wait=False, cancel_futures=True)
    while workers := multiprocessing.active_children():
        for worker in workers:
            worker.terminate()
            worker.join(POLL)


def _prepare_worker() -> None:
    """Let a worker print whatever it has to, and end with its parent: SIGKILL must leave no orphan."""
    print_anything()
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
        os._exit(1)
