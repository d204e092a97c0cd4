"""Messages and output of workers go to their parent, the only one that prints: one table, and whole lines.

From processes of this machine through one pipe: not a queue, as a worker that is killed then holds no lock
that others would wait for. What is shorter than 4,096 bytes is written in one piece, so that several may
write to it.
"""

import io
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection

from convlab.train.progress import Progress, report

MAX_LENGTH = 900  # characters of a line
Message = Progress | str  # a training's progress, or a line


class Relay(io.TextIOBase):
    """A worker's listener and its standard output: all is sent, whole lines at a time."""

    def __init__(self, send: Callable[[Message], None]):
        self.send, self.begun = send, ""

    def write(self, text: str) -> int:
        """Send the lines that are whole."""
        *lines, self.begun = (self.begun + text).split("\n")
        for line in lines:
            self.send(line[:MAX_LENGTH])
        return len(text)

    def update(self, progress: Progress) -> None:
        """Send a training's progress."""
        self.send(progress)


def to_parent(parent: Connection) -> Relay:
    """Return what sends all to the process at the other end of a pipe."""

    def send(message: Message) -> None:
        with suppress(OSError):  # the parent is gone, and so will this process be
            parent.send(message)

    return Relay(send)


def forward(workers: Connection) -> None:
    """Pass on what workers have sent through the pipe."""
    with suppress(EOFError):
        while workers.poll():
            show(workers.recv())


def show(message: Message) -> None:
    """Report a worker's progress in this process, or print its line."""
    match message:
        case Progress() as progress:
            report(progress)
        case line:
            print(line, flush=True)
