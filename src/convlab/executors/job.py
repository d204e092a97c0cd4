"""A training to run, and running it: what every executor does, wherever it does it."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from convlab import evaluate as evaluation
from convlab import portable
from convlab.interrupt import Interrupted, Request, deferred
from convlab.ledger import Finished, Ledger
from convlab.models.layers import InfeasibleGeometry
from convlab.schema import Trial
from convlab.train.checkpoint import Checkpoints
from convlab.train.history import Diverged
from convlab.train.run import train


@dataclass(frozen=True)
class Job:
    """A training to run: `key` is its place in the ledger, `folder` holds the prepared data."""

    label: str
    trial: Trial
    folder: Path
    fingerprint: str
    key: str
    scored: bool


def train_job(
    job: Job,
    ledger: Ledger,
    at_once: int,
    asked: Callable[[], AbstractContextManager[Request]] = deferred,
) -> None:
    """Train one, score it if asked to, and put it into the ledger.

    Args:
        job: what to train.
        ledger: where checkpoints are looked for and written, and the outcome put down.
        at_once: how many run side by side, for the timing.
        asked: gives the request to end that holds during the training.

    Raises:
        Interrupted: it was asked to end; a checkpoint has been written, or it is in the ledger.
        InputError: it is to be portable, and this process has kernels of its own choice.
    """
    portable.check(job.label, job.trial.experiment)
    identity = {"seed": job.trial.experiment.seed, "fingerprint": job.fingerprint}
    try:
        with asked() as request:
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
        timing={**trained.timing, "at_once": at_once},
    )
    ledger.add(job.key, finished, trained)
    if request.number is not None:  # too late for a checkpoint
        raise Interrupted(request.number, f"stopped after {job.label}")
