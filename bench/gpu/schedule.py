"""Which training is next: in the order of the plan, if its data is there and it would finish in time."""

import math
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.gpu.plan import Wanted
from convlab.data.catalogue import DATASETS
from convlab.files import read_json
from convlab.schema import Experiment

# What the environment says in an attempt, by how many before it raised: no CUDA graphs, then no bf16 either
FALLBACKS: tuple[tuple[str, ...], ...] = ((), ("CONVLAB_EAGER",), ("CONVLAB_EAGER", "CONVLAB_FP32"))
ATTEMPTS = len(FALLBACKS)
MARGIN, START = 1.1, 3.0  # on an estimate: for its error, and the seconds before and after the steps


@dataclass
class Training:
    """One training, for all items that want it: `state` is waiting, running, done, failed or stopped.

    `paces`: the seconds of each epoch of the attempt that runs; `raised`: how many attempts ended with an
    exception.
    """

    key: str  # its fingerprint, and its folder in the lease's ledger
    wanted: list[Wanted]
    state: str = "waiting"
    attempts: int = 0
    seconds: float | None = None
    worker: int | None = None
    paces: list[float] = field(default_factory=list)
    raised: int = 0

    @property
    def label(self) -> str:
        """What it is called in the log."""
        return self.wanted[0].label

    @property
    def fallback(self) -> tuple[str, ...]:
        """The environment variables that are set in the next attempt."""
        return FALLBACKS[self.raised]

    @property
    def experiment(self) -> Experiment:
        """What is trained."""
        return self.wanted[0].trial.experiment


class Schedule:
    """All trainings with their states, and their measured speed."""

    def __init__(self, trainings: list[Training], ledger: Path, scale: float = 1.0):
        self.trainings, self.ledger, self.scale = trainings, ledger, scale
        self.speeds: dict[str, float] = {}  # seconds per step, the slowest, by trial and by item
        self.look_up()

    def look_up(self) -> None:
        """Look in the ledger for what is done, while nothing is being trained."""
        for training in self.trainings:
            if (self.ledger / training.key / "finished.json").is_file():
                self.ended(training, training.seconds)
            elif training.state == "running":
                training.state, training.worker = "waiting", None

    def next(self, left: float, data: Collection[str]) -> Training | None:
        """Return the next training, or None. `left`: seconds until the deadline; `data`: the keys that are
        there."""
        for training in self.trainings:
            ready = training.state == "waiting" and training.experiment.data_key() in data
            if ready and self.estimate(training) <= left:
                return training
        return None

    def estimate(self, training: Training) -> float:
        """Return how many seconds a training will take at most."""
        for one in training.wanted:
            for family in _families(one):
                if speed := self.speeds.get(family):
                    return START + MARGIN * speed * steps(training.experiment, training.experiment.epochs)
        return self.scale * training.wanted[0].entry.seconds

    def ended(self, training: Training, seconds: float | None) -> None:
        """Record a training that is in the ledger now.

        `seconds`: of its last attempt, with what is not training. One that was resumed has more by its own
        clock, which counts all of its epochs.
        """
        content: dict[str, Any] = read_json(self.ledger / training.key / "finished.json")
        if content["status"] == "finished":
            seconds = max(seconds or 0.0, content["timing"]["seconds"])
            speed = seconds / steps(training.experiment, content["results"]["epochs"])
            self._note_speed(training, speed)
        training.state, training.seconds, training.worker = "done", seconds, None

    def failed(self, training: Training, raised: bool) -> None:
        """Record an attempt that raised an exception, or whose process died."""
        training.state = "waiting" if training.attempts < ATTEMPTS else "failed"
        training.worker = None
        training.raised = min(training.raised + raised, len(FALLBACKS) - 1)

    def late(self, training: Training, seconds: float, to_come: int, left: float) -> bool:
        """Record an epoch; return whether the training will not end before the deadline.

        `to_come`: the least number of epochs left; `left`: seconds until the deadline. The first epoch, in
        which the device warms up, is ignored, and the fastest of the last three is used.
        """
        training.paces.append(seconds)
        recent = training.paces[1:][-3:]
        return bool(recent) and to_come * min(recent) > MARGIN * max(left, 0.0)

    def stopped(self, training: Training) -> None:
        """Record a training that was too slow for the time left: it waits for another lease, and others
        like it are no longer started on the plan's estimate."""
        recent = training.paces[1:][-3:]
        self._note_speed(training, min(recent) / steps(training.experiment, 1))
        training.state, training.worker = "stopped", None

    def complete(self, name: str) -> int:
        """Return for how many seeds all trainings of an item are done."""
        levels: dict[int, bool] = {}
        for training in self.trainings:
            for one in training.wanted:
                if one.entry.name == name:
                    levels[one.level] = levels.get(one.level, True) and training.state == "done"
        return next((level - 1 for level in sorted(levels) if not levels[level]), max(levels, default=0))

    def data_of(self, name: str) -> set[str]:
        """Return the data keys that the trainings of an item need."""
        return {
            training.experiment.data_key()
            for training in self.trainings
            if any(one.entry.name == name for one in training.wanted)
        }

    def exhausted(self, left: float, data: Collection[str]) -> bool:
        """Return whether nothing runs and nothing that waits can start any more.

        `left`: seconds until the deadline; `data`: the keys that are there, of which more may come.
        """
        waiting = [training for training in self.trainings if training.state == "waiting"]
        return (
            not any(training.state == "running" for training in self.trainings)
            and all(training.experiment.data_key() in data for training in waiting)
            and self.next(left, data) is None
        )

    def _note_speed(self, training: Training, speed: float) -> None:
        """Record a speed for those like it, unless it is of a further attempt: that may fall back, and be so
        slow that they would not be started."""
        if training.attempts > 1:
            return
        for family in {family for one in training.wanted for family in _families(one)}:
            self.speeds[family] = max(speed, self.speeds.get(family, 0.0))


def steps(experiment: Experiment, epochs: int) -> int:
    """Return the number of steps in `epochs` epochs."""
    images = DATASETS[experiment.dataset].train_images - experiment.split.validation
    return epochs * math.ceil(images / experiment.batch_size)


def _families(one: Wanted) -> tuple[str, str]:
    """Return keys that trainings of similar speed share: first the same trial, then the same item."""
    return f"{one.entry.name}/{one.trial.name}", one.entry.name
