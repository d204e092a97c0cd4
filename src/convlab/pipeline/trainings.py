"""The trainings of an experiment (its seeds) or a sweep (its trials): which are missing, and how all ended.

Each goes into the ledger as soon as it ends: an interrupted run resumes with those that are missing. Where
they run is up to an executor (`convlab.pipeline.executors`).
"""

import resource
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from statistics import mean
from typing import Any

from convlab import files
from convlab.config import trials_of
from convlab.errors import InputError
from convlab.locks import Lock
from convlab.pipeline import evaluate as evaluation
from convlab.pipeline import executors
from convlab.pipeline.executors.job import Job
from convlab.pipeline.executors.workers import workers_asked_for
from convlab.pipeline.ledger import Finished, Ledger
from convlab.pipeline.made_from import hash_test
from convlab.pipeline.provenance import fingerprint, hash_data
from convlab.pipeline.syntax import hash_source
from convlab.schema import MOST_DEVICES, Experiment, Sweep, Trial
from convlab.train.progress import NOTHING, Ahead, display

ITERATION = ("iteration", "epoch", "lr", "loss", "accuracy")  # the columns of iterations.csv
_hash_once = cache(hash_source)  # of what scores a training: a comment there costs a sweep no trial
OTHER_FILES = 256  # that this process may have open besides a lock for each training


class Trainings:
    """The trainings of an experiment or a sweep, with the ledger that they are kept in."""

    def __init__(self, name: str, item: Experiment | Sweep, prepared: Path, ledger: Path):
        self.name, self.ledger = name, Ledger(ledger)
        self.uses: list[Lock] = []
        trials = trials_of(name, item)
        scored = isinstance(item, Sweep)
        hashed = cache(partial(_hashes, scored=scored))  # most trials have the same data
        self.jobs = []
        for number, trial in enumerate(trials, start=1):
            folder = prepared / trial.experiment.data_key()
            label = _label(name, item, trial, number)
            self.jobs.append(_job(label, trial, folder, scored, *hashed(folder)))
        own = {job.key for job in self.jobs}  # a sweep over `devices` compares trainings, and mixes none
        self.jobs = [
            replace(job, elsewhere=tuple(key for key in job.elsewhere if key not in own)) for job in self.jobs
        ]

    def run(self, ahead: Ahead = NOTHING) -> list[tuple[Trial, Finished]]:
        """Run what the ledger does not hold yet, and return every training with how it ended, in order.

        `ahead`: what is to be trained after them, which is shown beside the time left.

        Raises:
            InputError: CONVLAB_WORKERS is not a number, CONVLAB_EXECUTOR not an executor; there are fewer
                devices than a training asks for; or processes were killed from outside.
        """
        executor = executors.chosen()
        workers_asked_for()
        for experiment in (job.trial.experiment for job in self.jobs):
            if experiment.devices > 1:
                from convlab.pipeline.devices import require_devices  # takes seconds, so only where needed

                require_devices(experiment)
        _allow_open_files(len(self.jobs))
        self.uses = [self.ledger.use(job.key) for job in self.jobs]
        missing = []
        for job in self.jobs:
            if self.ledger.find(job.key):
                print(f"{job.label}: already finished, kept", flush=True)
            else:
                missing.append(job)
        if missing:
            epochs = {job.label: job.trial.experiment.epochs for job in missing}
            with display(self.name, epochs, ahead):
                executor(missing, self.ledger)
        ended = [(job.trial, self._find(job)) for job in self.jobs]
        if best := winner(ended):
            print(f"{self.name}: {best}", flush=True)
        return ended

    def clear(self) -> None:
        """Empty the ledger, once the results are where the stage declares them.

        What another process uses stays there until that process is done with it.
        """
        for use in self.uses:
            use.release()
        self.ledger.drop(job.key for job in self.jobs)

    def forget_failed(self) -> None:
        """Remove from the ledger what did not finish, so that it is tried again; what did stays."""
        failed = [job.key for job in self.jobs if self._find(job).reason]
        for use in self.uses:
            use.release()
        self.ledger.drop(failed)

    def _find(self, job: Job) -> Finished:
        finished = self.ledger.find(job.key)
        if finished is None:
            raise InputError(f"{job.label}: gone from {self.ledger.folder}; run it again")
        return finished


def _allow_open_files(trainings: int) -> None:
    """Raise the limit of open files where each training's lock needs one: 256 by default on macOS."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = trainings + OTHER_FILES
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise InputError(
            f"{trainings:,} trainings need {wanted:,} open files, and this system allows {hard:,}; raise the "
            "limit (`ulimit -Hn`), or split the sweep"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def iterations_of(ended: Iterable[tuple[Trial, Finished]]) -> list[dict[str, Any]]:
    """Return the rows of a sweep's iterations.csv: every step of the first seed of each trial, with its name.

    Empty where the recipe records no steps. Of several seeds one is enough to look at, as of an experiment's:
    each has thousands of rows.
    """
    first: dict[str, list[dict[str, Any]]] = {}
    for trial, finished in ended:
        if finished.iterations:
            first.setdefault(trial.name, [{"trial": trial.name, **row} for row in finished.iterations])
    return [row for rows in first.values() for row in rows]


def winner(ended: Sequence[tuple[Trial, Finished]]) -> str:
    """Return which trial of a sweep is the best on validation images; empty where nothing is compared."""
    found: dict[str, list[float]] = {}
    for trial, done in ended:
        if done.status == "finished" and trial.name:
            found.setdefault(trial.name, []).append(done.results["validation_accuracy"])
    if len(found) < 2:
        return ""
    means = {name: mean(accuracies) for name, accuracies in found.items()}
    best = max(means.values())
    first, *others = [name for name, value in means.items() if value == best]
    more = f", tied with {len(others)} more" if others else ""
    seeds = f" (mean of {len(found[first])} seeds)" if len(found[first]) > 1 else ""
    return f"best on the validation images: {first}, {best:.2%}{seeds}{more}"


def ledger_key(trial: Trial, fingerprint: str, test: str | None) -> str:
    """Return the key of a training in the ledger; `test`: for a sweep, the hash of its test images."""
    scored_by = f"-{_hash_once(Path(evaluation.__file__))[:8]}{test[:8]}" if test else ""
    return f"{files.training(trial.experiment.seed, trial.name)}-{fingerprint}{scored_by}"


def _hashes(folder: Path, scored: bool) -> tuple[str, str | None]:
    """Return the hashes of what a training sees, and of what it is scored by, if it is."""
    try:
        return hash_data(folder), hash_test(folder) if scored else None
    except FileNotFoundError as error:
        raise InputError(f"{error.filename}: not there; `dvc repro` writes it") from None


def _job(label: str, trial: Trial, folder: Path, scored: bool, data: str, test: str | None) -> Job:
    prints = {
        devices: fingerprint(trial.experiment.model_copy(update={"devices": devices}), data)
        for devices in range(1, MOST_DEVICES + 1)
    }
    own = prints.pop(trial.experiment.devices)
    elsewhere = tuple(ledger_key(trial, other, test) for other in prints.values())
    return Job(label, trial, folder, own, ledger_key(trial, own, test), scored, elsewhere)


def _label(name: str, item: Experiment | Sweep, trial: Trial, number: int) -> str:
    seed = trial.experiment.seed
    if isinstance(item, Sweep):
        several = len({one.experiment.seed for one in item.trials}) > 1
        told = files.training(seed, trial.name) if several else trial.name
        return f"{name} {number}/{len(item.trials)} {told}"
    return f"{name} seed {seed}" if item.seeds > 1 else name
