"""A training as a job, and how it is run: what every executor does, wherever it does it."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import OutOfMemoryError

from convlab import portable
from convlab.errors import InputError
from convlab.interrupt import Interrupted, Request, deferred
from convlab.models.layers import InfeasibleGeometry
from convlab.pipeline import evaluate as evaluation
from convlab.pipeline.ledger import Finished, Ledger
from convlab.pipeline.run import Trained, train
from convlab.schema import Trial
from convlab.train.checkpoint import Checkpoints
from convlab.train.history import Diverged
from convlab.train.progress import Progress, format_seconds, report


@dataclass(frozen=True)
class Job:
    """A training to run: `key` is its place in the ledger, `folder` holds the prepared data.

    `elsewhere` are the places of the same training on other numbers of devices, whose checkpoints it may take
    over.
    """

    label: str
    trial: Trial
    folder: Path
    fingerprint: str
    key: str
    scored: bool
    elsewhere: tuple[str, ...] = ()


def train_job(
    job: Job,
    ledger: Ledger,
    at_once: int,
    asked: Callable[[], AbstractContextManager[Request]] = deferred,
) -> None:
    """Run one training, score it if asked to, and put it into the ledger.

    Args:
        job: what to train.
        ledger: where checkpoints are looked for and written, and the outcome put down.
        at_once: how many run side by side, for the timing.
        asked: a context manager that yields the request to end the training.

    Raises:
        Interrupted: it was asked to end; a checkpoint has been written, or it is in the ledger.
        InputError: it is to be portable, and this process has not pinned its kernels.
    """
    portable.check(job.label, job.trial.experiment)
    with asked() as request, ledger.turn(job.key, job.label, request):
        if ledger.find(job.key):
            epochs = job.trial.experiment.epochs
            report(Progress(job.label, epochs, ended="already finished by another process"))
        else:
            _train(job, ledger, at_once, request)
    if request.number is not None:  # too late for a checkpoint
        raise Interrupted(request.number, f"stopped after {job.label}")


def _train(job: Job, ledger: Ledger, at_once: int, request: Request) -> None:
    epochs = job.trial.experiment.epochs
    identity = {"seed": job.trial.experiment.seed, "fingerprint": job.fingerprint}
    ledger.take_over(job.key, job.elsewhere)
    checkpoints = Checkpoints(ledger.checkpoints(job.key), request, job.label)
    try:
        trained = _on_its_devices(job, checkpoints)
    except (InfeasibleGeometry, Diverged) as error:
        status = "infeasible" if isinstance(error, InfeasibleGeometry) else "diverged"
        report(Progress(job.label, epochs, ended=f"{status}: {error}"))
        ledger.add(job.key, Finished(status, identity, str(error)), None)
        return
    except OutOfMemoryError:
        raise InputError(
            f"{job.label}: batch_size: found {job.trial.experiment.batch_size}, for which the GPU has too "
            "little free memory; use a smaller one, or fewer trainings at once (CONVLAB_WORKERS)"
        ) from None
    if trained.results["fingerprint"] != job.fingerprint:
        raise InputError(f"{job.label}: code or data have changed since this run began; run it again")
    scores = {}
    if job.scored:
        scores = evaluation.evaluate(trained.model, job.trial.experiment, job.folder).scores
    finished = Finished(
        "finished",
        {**trained.results, **scores},
        curves=trained.curves,
        iterations=trained.iterations,
        timing={**trained.timing, "at_once": at_once},
    )
    ledger.add(job.key, finished, trained)
    report(
        Progress(job.label, epochs, ended=how_it_ended(epochs, trained.results, trained.timing["seconds"]))
    )


def how_it_ended(epochs: int, results: Mapping[str, Any], seconds: float) -> str:
    """Return `stopped early at 25, kept 18, validation 99.60%, 19 s`; `epochs`: how many it had."""
    last = results["epochs"]
    ended = f"stopped early at {last}" if last < epochs else f"ended at {last}"
    return (
        f"{ended}, kept {results['best_epoch']}, validation {results['validation_accuracy']:.2%}, "
        f"{format_seconds(seconds)}"
    )


def _on_its_devices(job: Job, checkpoints: Checkpoints) -> Trained:
    if job.trial.experiment.devices == 1:
        return train(job.label, job.trial.experiment, job.folder, checkpoints)
    from convlab.pipeline.devices import train_on_devices  # what no other training needs

    return train_on_devices(job.label, job.trial.experiment, job.folder, checkpoints)
