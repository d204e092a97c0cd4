"""A worker process of the lease's daemon: trains one job after another, beside others on the same GPU."""

import gc
import os
import shutil
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

from bench.gpu.schedule import FALLBACKS
from convlab.schema import Experiment
from convlab.train.history import History
from convlab.train.progress import Reporter

CHECKPOINT_SECONDS = 20.0  # at the ends of epochs: a ResNet's checkpoint takes a second, as long as its epoch


def serve(connection: Connection, ledger: Path, workers: int) -> None:
    """Train what comes through the connection, until there is no other end.

    Says `("ready", 0.0)` at first, after each epoch `("epoch", (seconds, epochs to come at least))`, after
    each training `("done", seconds)`, or `("failed", traceback)`, after which it ends: an error of the device
    may spoil all that follows in the same process.
    """
    import torch

    from convlab.interrupt import Interrupted
    from convlab.pipeline import run as training
    from convlab.pipeline.executors.job import train_job
    from convlab.pipeline.executors.processes import prepare_worker
    from convlab.pipeline.ledger import Ledger
    from convlab.train import checkpoint
    from convlab.train.device import select_device

    prepare_worker()
    checkpoint.EPOCH_SECONDS = CHECKPOINT_SECONDS
    gpu = select_device("auto").type == "cuda"
    if gpu:
        torch.zeros(1, device="cuda")  # starting CUDA takes seconds, which should not count as training
    connection.send(("ready", 0.0))
    while True:
        job, fallback = connection.recv()
        for variable in FALLBACKS[-1]:
            os.environ.pop(variable, None)
        os.environ |= dict.fromkeys(fallback, "1")
        if fallback == FALLBACKS[-1]:  # what was begun in bf16: a result is of one precision
            shutil.rmtree(Ledger(ledger).checkpoints(job.key), ignore_errors=True)
        training.reporting = partial(telling, connection, job.trial.experiment)
        if gpu:
            torch.cuda.reset_peak_memory_stats()
        began = time.monotonic()
        try:
            train_job(job, Ledger(ledger), workers)
        except Interrupted as ended:
            os._exit(128 + ended.number)
        except BaseException:
            connection.send(("failed", traceback.format_exc()))
            return
        connection.send(("done", time.monotonic() - began))
        gc.collect()
        if gpu:
            torch.cuda.empty_cache()  # for the others


class Telling(Reporter):
    """A reporter that also reports each epoch to the daemon."""

    def __init__(self, connection: Connection, experiment: Experiment, label: str, epochs: int, images: int):
        super().__init__(label, epochs, images)
        self.connection, self.experiment = connection, experiment

    def epoch(self, history: History) -> None:
        """Print what a reporter prints, and say how long the epoch took, and how many come at least."""
        super().epoch(history)
        with suppress(OSError):  # the daemon has died; what is trained is kept all the same
            self.connection.send(("epoch", (history.epoch_seconds[-1], to_come(history, self.experiment))))


@contextmanager
def telling(
    connection: Connection, experiment: Experiment, label: str, epochs: int, images: int
) -> Iterator[Reporter]:
    """Report on one training, in place of `convlab.train.progress.reporting`."""
    yield Telling(connection, experiment, label, epochs, images)


def to_come(history: History, experiment: Experiment) -> int:
    """Return how many epochs a training has at least before it: early stopping may end it before the last."""
    penalised = experiment.monitor == "penalised_loss"
    losses = [row["validation_loss"] + (row["penalty"] if penalised else 0.0) for row in history.records]
    left = experiment.epochs - len(losses)
    if experiment.early_stopping:
        waited = len(losses) - 1 - losses.index(min(losses))
        left = min(left, experiment.early_stopping.patience - waited)
    return left
