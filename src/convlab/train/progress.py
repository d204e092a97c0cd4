"""Show the progress of trainings: one live table on a terminal, short plain lines elsewhere (logs, CI).

A training reports to a listener in its own process, its `Audience`; that of a worker passes it on to the
parent, the only one that prints: lines of several trainings never mix.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from rich.console import Console
from rich.live import Live
from rich.table import Table

from convlab.train.history import History

WIDTH = 120  # characters of a line at most
LINE_SECONDS = 10.0  # between lines on one of many trainings, after its first epoch
STEP_SECONDS = 0.5  # between reports within an epoch


@dataclass(frozen=True)
class Told:
    """How far a training is.

    `done` counts epochs, with a part of the current one; `left` are seconds at most; losses and accuracies
    are those of the last epoch, training / validation, as are its learning rate and its seconds. `ended` says
    how it ended, if it did.
    """

    label: str
    epochs: int
    done: float = 0.0
    left: float | None = None
    losses: tuple[float, float] | None = None
    accuracies: tuple[float, float] | None = None
    ended: str = ""
    lr: float | None = None
    seconds: float | None = None


class Audience(Protocol):
    """A listener for the progress of trainings."""

    def hear(self, told: Told) -> None:
        """Take note, and show it or not."""


@dataclass
class Lines:
    """Plain lines: one per epoch of a single training, a few of each of many, and one at the end of each."""

    total: "Total"
    last: dict[str, float] = field(default_factory=dict)  # label → when a line was printed

    def hear(self, told: Told) -> None:
        """Print a line, if an epoch or a training has ended."""
        self.total.hear(told)
        if told.ended:
            say(told.label, f": {told.ended}")
            if self.total.many and (whole := self.total.text()):
                say(self.total.name, f": {whole}")
            return
        now, many = time.monotonic(), self.total.many
        if told.losses is None or told.accuracies is None or told.done % 1:
            return
        if many and now - self.last.get(told.label, -LINE_SECONDS) < LINE_SECONDS:
            return
        self.last[told.label] = now
        epoch = f" epoch {told.done:{len(str(told.epochs))}.0f}/{told.epochs}"
        losses = "loss {:.4f} / {:.4f}".format(*told.losses)
        accuracies = "accuracy {:7.2%} / {:7.2%}".format(*told.accuracies)
        rate = [f"lr {told.lr:.3g}"] if told.lr is not None else []
        seconds = [f"{told.seconds:,.2f} s"] if told.seconds is not None else []
        left = f"{duration(told.left or 0)} left"
        say(told.label, " · ".join([epoch, losses, accuracies, *rate, *seconds, left]))


@dataclass
class Board:
    """One live table: a row for each running training, and the total below."""

    live: Live
    total: "Total"
    running: dict[str, Told] = field(default_factory=dict)

    def hear(self, told: Told) -> None:
        """Update the table; print a line above it for a training that ended."""
        self.total.hear(told)
        if told.ended:
            self.running.pop(told.label, None)
            self.live.console.print(shortened(told.label, f": {told.ended}"), highlight=False, markup=False)
        else:
            before = self.running.get(told.label)
            known = told.accuracies or (before.accuracies if before else None)
            self.running[told.label] = Told(told.label, told.epochs, told.done, told.left, None, known)
        self.live.update(self.table())

    def table(self) -> Table:
        """Return the table as it is to be shown now."""
        table = Table(box=None, pad_edge=False, caption=self.total.text() or None, caption_justify="left")
        table.add_column("training", overflow="ellipsis", no_wrap=True)
        for column in ("epoch", "validation", "left at most"):
            table.add_column(column, justify="right", no_wrap=True)
        for told in self.running.values():
            accuracy = f"{told.accuracies[1]:.2%}" if told.accuracies else "–"
            left = duration(told.left) if told.left is not None else "–"
            table.add_row(told.label, f"{told.done:.1f}/{told.epochs}", accuracy, left)
        return table


@dataclass
class Total:
    """How far all trainings of an experiment or a sweep are, by the epochs that they may take at most."""

    name: str
    epochs: dict[str, int]  # label → its epochs
    done: dict[str, float] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    started: float = field(default_factory=time.monotonic)
    begun: dict[str, float] = field(default_factory=dict)  # epochs done before a resume

    @property
    def many(self) -> bool:
        """Whether there is more than one."""
        return len(self.epochs) > 1

    def hear(self, told: Told) -> None:
        """Take note of one training."""
        if told.done:
            self.begun.setdefault(told.label, told.done - 1)  # the first report comes after an epoch
        self.done[told.label] = told.epochs if told.ended else told.done
        if told.ended:
            self.ended.add(told.label)

    def text(self) -> str:
        """Return `3 of 24 trainings, 2 min 05 s left at most`; empty while nothing can be said."""
        done, here = sum(self.done.values()), sum(self.done.values()) - sum(self.begun.values())
        if not self.many or here <= 0:
            return ""
        left = (time.monotonic() - self.started) / here * (sum(self.epochs.values()) - done)
        count = f"{len(self.ended)} of {len(self.epochs)} trainings"
        return f"{count}, {duration(left)} left at most" if left >= 1 else count


_audience: list[Audience] = [Lines(Total("", {}))]


@contextmanager
def heard_by(audience: Audience) -> Iterator[None]:
    """Let trainings of this process report to `audience` inside the context."""
    _audience.append(audience)
    try:
        yield
    finally:
        _audience.pop()


@contextmanager
def shown(name: str, epochs: dict[str, int]) -> Iterator[None]:
    """Show the trainings of an experiment or a sweep; `epochs`: how many each may take, by its label."""
    console, total = Console(), Total(name, epochs)
    if not console.is_terminal or not epochs:
        with heard_by(Lines(total)):
            yield
        return
    live = Live(console=console, transient=True, refresh_per_second=4)
    with live, heard_by(Board(live, total)):
        yield


def listen(audience: Audience) -> None:
    """Let trainings of this process report to `audience` from now on."""
    _audience.append(audience)


def hear(told: Told) -> None:
    """Report to the listener of this process."""
    _audience[-1].hear(told)


class Reporter:
    """Callbacks for `fit`: `step` updates the table, `epoch` reports the results of an epoch."""

    def __init__(self, label: str, epochs: int, images: int):
        self.label, self.epochs, self.images = label, epochs, images
        self.started = self.heard = time.perf_counter()
        self.before: int | None = None  # epochs done before a resume
        self.done = self.seen = 0  # epochs; images of the current one

    def step(self, images: int) -> None:
        """Count images that went through a training step."""
        self.seen += images
        now = time.perf_counter()
        if now - self.heard > STEP_SECONDS and self.before is not None:
            self.heard = now
            done = self.done + min(self.seen / self.images, 0.99)
            hear(Told(self.label, self.epochs, done, self._left(done)))

    def epoch(self, history: History) -> None:
        """Report the losses, accuracies, rate and seconds of the epoch, and the time left at most."""
        last = history.records[-1]
        self.done, self.seen = int(last["epoch"]), 0
        self.before = self.done - 1 if self.before is None else self.before
        losses = last["train_loss"], last["validation_loss"]
        accuracies = last["train_accuracy"], last["validation_accuracy"]
        left, seconds = self._left(self.done), history.epoch_seconds[-1]
        told = Told(self.label, self.epochs, self.done, left, losses, accuracies, "", last["lr"], seconds)
        hear(told)

    def _left(self, done: float) -> float:
        assert self.before is not None
        return (time.perf_counter() - self.started) / (done - self.before) * (self.epochs - done)


@contextmanager
def reporting(label: str, epochs: int, images: int) -> Iterator[Reporter]:
    """Report on one training of `epochs` epochs of `images` images."""
    hear(Told(label, epochs))
    yield Reporter(label, epochs, images)


def duration(seconds: float) -> str:
    """Return `19 s`, `2 min 05 s` or `3 h 20 min`."""
    minutes, seconds = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"


def say(label: str, text: str) -> None:
    """Print a line in one piece: other processes may print, too."""
    sys.stdout.write(shortened(label, text) + "\n")
    sys.stdout.flush()


def shortened(label: str, text: str) -> str:
    """Return a line of at most `WIDTH` characters; a long label loses the sweep's name, then its middle."""
    room = max(WIDTH - len(text), 12)
    if len(label) > room:
        label = label.partition(" ")[2] or label
    if len(label) > room:
        label = f"{label[: room // 2 - 1]}…{label[len(label) - (room - room // 2) :]}"
    return f"{label}{text}"
