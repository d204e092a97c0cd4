"""The trainings of an experiment (its seeds) or a sweep (its trials): which are missing, and how all ended.

Each that ends goes into the ledger at once: a run that is cut off resumes with those that are missing. Where
they run is an executor's matter (`convlab.executors`).
"""

from dataclasses import replace
from functools import cache, partial
from pathlib import Path

from convlab import evaluate as evaluation
from convlab import executors, files
from convlab.config import trials_of
from convlab.errors import InputError
from convlab.executors.job import Job
from convlab.executors.workers import workers_asked_for
from convlab.ledger import Finished, Ledger
from convlab.provenance import fingerprint, hash_data, hash_files
from convlab.schema import MOST_DEVICES, Experiment, Sweep, Trial


class Trainings:
    """The trainings of an experiment or a sweep, with the ledger that they are kept in."""

    def __init__(self, name: str, item: Experiment | Sweep, prepared: Path, ledger: Path):
        self.ledger = Ledger(ledger)
        trials = trials_of(name, item)
        scored = isinstance(item, Sweep)
        hashed = cache(partial(_hashed, scored=scored))  # most trials have the same data
        self.jobs = []
        for number, trial in enumerate(trials, start=1):
            folder = prepared / trial.experiment.data_key()
            label = _label(name, item, trial, number)
            self.jobs.append(_job(label, trial, folder, scored, *hashed(folder)))
        own = {job.key for job in self.jobs}  # a sweep over `devices` compares trainings, and mixes none
        self.jobs = [
            replace(job, elsewhere=tuple(key for key in job.elsewhere if key not in own)) for job in self.jobs
        ]

    def run(self) -> list[tuple[Trial, Finished]]:
        """Run what the ledger does not hold yet, and give every training with how it ended, in their order.

        Raises:
            InputError: CONVLAB_WORKERS is not a number, CONVLAB_EXECUTOR no executor; there are fewer
                devices than one training is to be shared out to; or processes were killed from outside.
        """
        executor = executors.chosen()
        workers_asked_for()
        for experiment in (job.trial.experiment for job in self.jobs):
            if experiment.devices > 1:
                from convlab.train.distributed.launch import require_devices  # seconds that others can spare

                require_devices(experiment)
        missing = []
        for job in self.jobs:
            if self.ledger.find(job.key):
                print(f"{job.label}: already finished, kept", flush=True)
            else:
                missing.append(job)
        if missing:
            executor(missing, self.ledger)
        return [(job.trial, self._find(job)) for job in self.jobs]

    def clear(self) -> None:
        """Empty the ledger, once the results are where the stage declares them."""
        self.ledger.drop(job.key for job in self.jobs)

    def _find(self, job: Job) -> Finished:
        finished = self.ledger.find(job.key)
        if finished is None:
            raise InputError(f"{job.label}: gone from {self.ledger.folder}; run it again")
        return finished


def _hashed(folder: Path, scored: bool) -> tuple[str, str]:
    """Return a hash of what a training sees, and what a key ends with, by what it is scored by."""
    try:
        data = hash_data(folder)
        if not scored:
            return data, ""
        return data, f"-{hash_files([folder / 'test.safetensors', Path(evaluation.__file__)])[:8]}"
    except FileNotFoundError as error:
        raise InputError(f"{error.filename}: not there; `dvc repro` writes it") from None


def _job(label: str, trial: Trial, folder: Path, scored: bool, data: str, end: str) -> Job:
    prints = {
        devices: fingerprint(trial.experiment.model_copy(update={"devices": devices}), data)
        for devices in range(1, MOST_DEVICES + 1)
    }
    own = prints.pop(trial.experiment.devices)
    start = files.training(trial.experiment.seed, trial.name)
    elsewhere = tuple(f"{start}-{other}{end}" for other in prints.values())
    return Job(label, trial, folder, own, f"{start}-{own}{end}", scored, elsewhere)


def _label(name: str, item: Experiment | Sweep, trial: Trial, number: int) -> str:
    seed = trial.experiment.seed
    if isinstance(item, Sweep):
        return f"{name} {number}/{len(item.trials)} {files.training(seed, trial.name)}"
    return f"{name} seed {seed}" if item.seeds > 1 else name
