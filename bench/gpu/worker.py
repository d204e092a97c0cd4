"""A process that trains one thing after another, beside others on the same GPU, for the lease's daemon."""

import gc
import os
import time
import traceback
from multiprocessing.connection import Connection
from pathlib import Path

EAGER = "CONVLAB_EAGER"  # set while a training is tried again: the plain way of everything
CHECKPOINT_SECONDS = 20.0  # at the ends of epochs: a ResNet's checkpoint takes a second, as long as its epoch


def serve(connection: Connection, ledger: Path, workers: int) -> None:
    """Train what comes through the connection, until there is no other end.

    Says `("ready", 0.0)` at first, then after each training `("done", seconds)`, or `("failed", traceback)`,
    after which it ends: an error of the device may spoil all that follows in the same process.
    """
    import torch

    from convlab import trainings
    from convlab.interrupt import Interrupted
    from convlab.ledger import Ledger
    from convlab.train import checkpoint
    from convlab.train.device import select_device

    trainings._prepare_worker()
    checkpoint.EPOCH_SECONDS = CHECKPOINT_SECONDS
    gpu = select_device("auto").type == "cuda"
    if gpu:
        torch.zeros(1, device="cuda")  # starting CUDA takes seconds, which are no training's
    connection.send(("ready", 0.0))
    while True:
        job, eager = connection.recv()
        os.environ.pop(EAGER, None)
        if eager:
            os.environ[EAGER] = "1"
        if gpu:
            torch.cuda.reset_peak_memory_stats()
        began = time.monotonic()
        try:
            trainings._run(job, Ledger(ledger), workers)
        except Interrupted as ended:
            os._exit(128 + ended.number)
        except BaseException:
            connection.send(("failed", traceback.format_exc()))
            return
        connection.send(("done", time.monotonic() - began))
        gc.collect()
        if gpu:
            torch.cuda.empty_cache()  # for the others
