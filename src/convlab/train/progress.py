"""Show the progress of trainings: one live table on a terminal, short plain lines elsewhere (logs, CI).

A training reports its `Progress` to the `Listener` of its own process; that of a worker passes it on to the
parent, the only one that prints: lines of several trainings never mix.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Protocol

from rich.console import Console
from rich.live import Live
from rich.table import Table

from convlab.train.history import History

WIDTH = 120  # characters of a line at most
LINE_SECONDS = 10.0  # between lines on one of many trainings, after its first epoch
STEP_SECONDS = 0.5  # between reports within an epoch


@dataclass(frozen=True)
class Progress:
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


@dataclass(frozen=True)
class Ahead:
    """What else is selected and has yet to be trained, and about how many seconds that takes here.

    `untimed`: how many of these `results` are not in the `seconds`, since nothing like them was timed here.
    """

    results: int = 0
    seconds: float = 0.0
    untimed: int = 0


NOTHING = Ahead()


class Listener(Protocol):
    """A listener for the progress of trainings."""

    def update(self, progress: Progress) -> None:
        """Take note, and show it or not."""


@dataclass
class PlainLines:
    """Plain lines: one per epoch of a single training, a few of each of many, and one at the end of each.

    After a training that ends, and the first epoch of a single one, there is one on what is left in all.
    """

    total: "Total"
    last: dict[str, float] = field(default_factory=dict)  # label → when a line was printed

    def update(self, progress: Progress) -> None:
        """Print a line, if an epoch or a training has ended."""
        self.total.update(progress)
        if progress.ended:
            print_line(progress.label, f": {progress.ended}")
            self._print_total()
            return
        now, many = time.monotonic(), self.total.many
        if progress.losses is None or progress.accuracies is None or progress.done % 1:
            return
        if many and now - self.last.get(progress.label, -LINE_SECONDS) < LINE_SECONDS:
            return
        before = len(self.last)
        self.last[progress.label] = now
        epoch = f" epoch {progress.done:{len(str(progress.epochs))}.0f}/{progress.epochs}"
        losses = "loss {:.4f} / {:.4f}".format(*progress.losses)
        accuracies = "accuracy {:7.2%} / {:7.2%}".format(*progress.accuracies)
        rate = [f"lr {progress.lr:.3g}"] if progress.lr is not None else []
        seconds = [f"{progress.seconds:,.2f} s"] if progress.seconds is not None else []
        left = f"{format_seconds(progress.left or 0)} left"
        print_line(progress.label, " · ".join([epoch, losses, accuracies, *rate, *seconds, left]))
        if not many and len(self.last) > before:
            self._print_total()

    def _print_total(self) -> None:
        if whole := self.total.text():
            print_line(self.total.name, f": {whole}")


@dataclass
class LiveTable:
    """One live table: a row for each running training, and the total below."""

    live: Live
    total: "Total"
    running: dict[str, Progress] = field(default_factory=dict)

    def update(self, progress: Progress) -> None:
        """Update the table; print a line above it for a training that ended."""
        self.total.update(progress)
        if progress.ended:
            self.running.pop(progress.label, None)
            self.live.console.print(
                fit_line(progress.label, f": {progress.ended}"), highlight=False, markup=False
            )
        else:
            before = self.running.get(progress.label)
            last = progress.accuracies or (before.accuracies if before else None)
            self.running[progress.label] = replace(progress, accuracies=last)
        self.live.update(self.table())

    def table(self) -> Table:
        """Return the table as it is to be shown now."""
        table = Table(box=None, pad_edge=False, caption=self.total.text() or None, caption_justify="left")
        table.add_column("training", overflow="ellipsis", no_wrap=True)
        for column in ("epoch", "validation", "left at most"):
            table.add_column(column, justify="right", no_wrap=True)
        for progress in self.running.values():
            accuracy = f"{progress.accuracies[1]:.2%}" if progress.accuracies else "–"
            left = format_seconds(progress.left) if progress.left is not None else "–"
            table.add_row(progress.label, f"{progress.done:.1f}/{progress.epochs}", accuracy, left)
        return table


@dataclass
class Total:
    """How far all trainings of an experiment or a sweep are, by the epochs that they may take at most.

    `ahead`: what is selected beside it and comes later.
    """

    name: str
    epochs: dict[str, int]  # label → its epochs
    ahead: Ahead = NOTHING
    done: dict[str, float] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    started: float | None = None  # without the start of the workers, which is no part of an epoch
    begun: dict[str, float] = field(default_factory=dict)  # epochs done before a resume

    @property
    def many(self) -> bool:
        """Whether there is more than one."""
        return len(self.epochs) > 1

    def update(self, progress: Progress) -> None:
        """Take note of one training."""
        if progress.done:
            if self.started is None:
                self.started = time.monotonic() - (progress.seconds or 0.0)
            self.begun.setdefault(progress.label, progress.done - 1)  # the first report comes after an epoch
        if (
            progress.ended
        ):  # stopped early, infeasible, or by another process: it had the epochs that were reported
            self.ended.add(progress.label)
        else:
            self.done[progress.label] = progress.done

    def text(self) -> str:
        """Return `3 of 24 trainings, 2 min 05 s left at most · all selected: about 4 min 10 s`.

        Empty while nothing can be said.
        """
        here = sum(self.done.values()) - sum(self.begun.values())
        if here <= 0 or self.started is None:
            return ""
        waiting = self.epochs.keys() - self.ended
        epochs = sum(self.epochs[label] - self.done.get(label, 0.0) for label in waiting)
        left = (time.monotonic() - self.started) / here * epochs
        count = f"{len(self.ended)} of {len(self.epochs)} trainings"
        own = [f"{count}, {format_seconds(left)} left at most" if left >= 1 else count] if self.many else []
        return " · ".join([*own, *self._all_selected(left)])

    def _all_selected(self, left: float) -> Iterator[str]:
        """Yield what all that is selected takes, this one `left` seconds; nothing where it is the last."""
        results, untimed = self.ahead.results, self.ahead.untimed
        if results and results == untimed:
            yield f"all selected: {results} more, not timed here"
        elif results:
            but = f", without {untimed} not timed here" if untimed else ""
            yield f"all selected: about {format_seconds(left + self.ahead.seconds)}{but}"


_listeners: list[Listener] = [PlainLines(Total("", {}))]


@contextmanager
def reporting_to(listener: Listener) -> Iterator[None]:
    """Let trainings of this process report to `listener` inside the context."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.pop()


@contextmanager
def display(name: str, epochs: dict[str, int], ahead: Ahead = NOTHING) -> Iterator[None]:
    """Show the trainings of an experiment or a sweep; `epochs`: how many each may take, by its label."""
    console, total = Console(), Total(name, epochs, ahead)
    if not console.is_terminal or not epochs:
        with reporting_to(PlainLines(total)):
            yield
        return
    live = Live(console=console, transient=True, refresh_per_second=4)
    with live, reporting_to(LiveTable(live, total)):
        yield


def report_to(listener: Listener) -> None:
    """Let trainings of this process report to `listener` from now on."""
    _listeners.append(listener)


def report(progress: Progress) -> None:
    """Report to the listener of this process."""
    _listeners[-1].update(progress)


class Reporter:
    """Callbacks for `fit`: `step` updates the table, `epoch` reports the results of an epoch."""

    def __init__(self, label: str, epochs: int, images: int):
        self.label, self.epochs, self.images = label, epochs, images
        self.started = self.reported = time.perf_counter()
        self.before: int | None = None  # epochs done before a resume
        self.done = self.seen = 0  # epochs; images of the current one

    def step(self, images: int) -> None:
        """Count images that went through a training step."""
        self.seen += images
        now = time.perf_counter()
        if now - self.reported > STEP_SECONDS and self.before is not None:
            self.reported = now
            done = self.done + min(self.seen / self.images, 0.99)
            report(Progress(self.label, self.epochs, done, self._left(done)))

    def epoch(self, history: History) -> None:
        """Report the losses, accuracies, rate and seconds of the epoch, and the time left at most."""
        last = history.records[-1]
        self.done, self.seen = int(last["epoch"]), 0
        self.before = self.done - 1 if self.before is None else self.before
        losses = last["train_loss"], last["validation_loss"]
        accuracies = last["train_accuracy"], last["validation_accuracy"]
        left, seconds = self._left(self.done), history.epoch_seconds[-1]
        progress = Progress(
            self.label, self.epochs, self.done, left, losses, accuracies, "", last["lr"], seconds
        )
        report(progress)

    def _left(self, done: float) -> float:
        assert self.before is not None
        return (time.perf_counter() - self.started) / (done - self.before) * (self.epochs - done)


@contextmanager
def reporting(label: str, epochs: int, images: int) -> Iterator[Reporter]:
    """Report on one training of `epochs` epochs of `images` images."""
    report(Progress(label, epochs))
    yield Reporter(label, epochs, images)


def format_seconds(seconds: float) -> str:
    """Return `19 s`, `2 min 05 s` or `3 h 20 min`."""
    minutes, seconds = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"


def print_line(label: str, text: str) -> None:
    """Print a line in one piece: other processes may print, too."""
    sys.stdout.write(fit_line(label, text) + "\n")
    sys.stdout.flush()


def fit_line(label: str, text: str) -> str:
    """Return a line of at most `WIDTH` characters; a long label loses the sweep's name, then its middle."""
    room = max(WIDTH - len(text), 12)
    if len(label) > room:
        label = label.partition(" ")[2] or label
    if len(label) > room:
        label = f"{label[: room // 2 - 1]}…{label[len(label) - (room - room // 2) :]}"
    return f"{label}{text}"
