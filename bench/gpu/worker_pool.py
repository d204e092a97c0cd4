"""The lease's worker processes: started, given trainings, and replaced when they die."""

import multiprocessing
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from bench.gpu.schedule import Training
from bench.gpu.worker import serve
from convlab.pipeline.executors.job import Job
from convlab.schema import Trial

THREADS = "2"  # per worker, as there may be more workers than cores
LAST = 20.0  # seconds for the last checkpoints of all


@dataclass
class Worker:
    """A process, this end of its connection, and what it is training."""

    process: BaseProcess
    connection: Connection
    ready: bool = False
    training: Training | None = None
    stopping: bool = False


@dataclass(frozen=True)
class Event:
    """What happened to a worker's training: epoch, done, stopped (as it was asked to), failed (with a
    traceback), or died (with its process). `to_come`: the least number of epochs left."""

    training: Training
    kind: str
    seconds: float = 0.0
    said: str = ""
    to_come: int = 0


class WorkerPool:
    """As many workers as asked for."""

    def __init__(self, count: int, lease: Path):
        self.count, self.lease = count, lease
        os.environ.setdefault("OMP_NUM_THREADS", THREADS)  # before they import torch
        self.spawn = multiprocessing.get_context("spawn")  # a fork could not use CUDA
        self.workers = [self._start() for _ in range(count)]

    def idle(self) -> list[Worker]:
        """Return the workers that are idle."""
        return [
            worker for worker in self.workers if worker.ready and not worker.training and not worker.stopping
        ]

    def give(self, worker: Worker, training: Training) -> None:
        """Give a worker a training."""
        experiment = training.experiment
        folder = self.lease / "prepared" / experiment.data_key()
        trial = Trial(name=training.wanted[0].trial.name, overrides={}, experiment=experiment)
        job = Job(training.label, trial, folder, training.key, training.key, scored=True)
        training.state, training.worker = "running", worker.process.pid
        training.attempts += 1
        training.paces = []
        worker.training = training
        with suppress(OSError):  # it has just died: the next poll reports it
            worker.connection.send((job, training.fallback))

    def stop(self, training: Training) -> None:
        """Ask the worker of a training to end with a checkpoint, and start another worker."""
        for worker in self.workers:
            if worker.training is training and not worker.stopping:
                worker.stopping = True
                worker.process.terminate()

    def look(self, seconds: float) -> Iterator[Event]:
        """Wait for events up to the timeout and return them; replace dead workers."""
        by_end = {worker.connection: worker for worker in self.workers}
        for end in wait(list(by_end), seconds):
            worker = by_end[end]  # type: ignore[index]
            training = worker.training
            try:
                kind, value = worker.connection.recv()
            except (EOFError, OSError):
                self._replace(worker)
                worker.process.join(5)
                if training:
                    kind = "stopped" if worker.stopping else "died"
                    yield Event(training, kind, said=f"exit status {worker.process.exitcode}")
                elif not worker.stopping:
                    print(
                        f"a worker died without a training: exit status {worker.process.exitcode}", flush=True
                    )
                continue
            if kind == "epoch":
                if training and not worker.stopping:
                    yield Event(training, kind, seconds=value[0], to_come=value[1])
                continue
            worker.training = None
            if kind == "ready":
                worker.ready = True
            elif kind == "done" and training:
                yield Event(training, "done", seconds=value)
            elif training:
                self._replace(worker)
                yield Event(training, "failed", said=value)

    def end(self) -> None:
        """Ask all to end, which writes checkpoints of what they train; kill what is left after `LAST`."""
        for worker in self.workers:
            worker.process.terminate()
        deadline = time.monotonic() + LAST
        for worker in self.workers:
            worker.process.join(max(0.0, deadline - time.monotonic()))
            worker.process.kill()

    def _start(self) -> Worker:
        ours, theirs = self.spawn.Pipe()
        process = self.spawn.Process(
            target=serve, args=(theirs, self.lease / "ledger", self.count), daemon=True
        )
        process.start()
        theirs.close()
        return Worker(process, ours)

    def _replace(self, worker: Worker) -> None:
        worker.connection.close()
        self.workers[self.workers.index(worker)] = self._start()
