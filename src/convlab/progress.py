"""Show a training as it goes: a live bar on a terminal, a plain line an epoch elsewhere (logs, CI)."""

import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from convlab.train.history import History


class Reporter:
    """Callbacks for `fit`: `step` moves the bar, `epoch` prints a line on the epoch that ended."""

    def __init__(self, label: str, epochs: int, images: int, progress: Progress | None):
        self.label, self.epochs, self.images, self.progress = label, epochs, images, progress
        self.task = progress.add_task(label, total=epochs * images, text="") if progress else None
        self.started = time.perf_counter()

    def step(self, images: int) -> None:
        """Count images that went through a training step."""
        if self.progress and self.task is not None:
            self.progress.advance(self.task, images)

    def epoch(self, history: History) -> None:
        """Print the losses, the accuracies, the speed and (off a terminal) the time left at most."""
        last = history.records[-1]
        done = int(last["epoch"])
        speed = self.images / history.training_seconds[-1]
        left = (time.perf_counter() - self.started) / done * (self.epochs - done)
        line = (
            f"{self.label} epoch {done:>{len(str(self.epochs))}}/{self.epochs}"
            f" · loss {last['train_loss']:.4f} / {last['validation_loss']:.4f}"
            f" · accuracy {last['train_accuracy']:7.2%} / {last['validation_accuracy']:7.2%}"
            f" · lr {last['lr']:.2g} · {speed:,.0f} images/s"
        )
        if self.progress:
            self.progress.console.print(line, highlight=False)
        else:
            print(f"{line} · {_duration(left)} left at most", flush=True)


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"


@contextmanager
def reporting(label: str, epochs: int, images: int) -> Iterator[Reporter]:
    """Report on one training of `epochs` epochs of `images` images. Pairs are training / validation."""
    console = Console()
    beside_others = multiprocessing.parent_process() is not None  # their bars would overwrite each other
    if beside_others or not console.is_terminal:
        yield Reporter(label, epochs, images, None)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:.0f} %"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield Reporter(label, epochs, images, progress)
