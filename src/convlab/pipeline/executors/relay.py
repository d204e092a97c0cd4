"""Messages and output of workers go through one pipe to their parent, the only one that prints.

A pipe, not a queue: a worker that is killed holds no lock that others would wait for. What is shorter than
4,096 bytes is written in one piece, so that several may write to it.
"""

import io
from contextlib import suppress
from multiprocessing.connection import Connection

from convlab.train.progress import Progress, report

MAX_LENGTH = 900  # characters of a line


class Relay(io.TextIOBase):
    """A worker's listener and its standard output: all goes to the parent, whole lines at a time."""

    def __init__(self, parent: Connection):
        self.parent, self.begun = parent, ""

    def write(self, text: str) -> int:
        """Send the lines that are whole."""
        *lines, self.begun = (self.begun + text).split("\n")
        for line in lines:
            self._send(line)
        return len(text)

    def update(self, progress: Progress) -> None:
        """Send a training's progress."""
        self._send(progress)

    def _send(self, what: Progress | str) -> None:
        with suppress(OSError):  # the parent is gone, and so will this process be
            self.parent.send(what[:MAX_LENGTH] if isinstance(what, str) else what)


def forward(workers: Connection) -> None:
    """Pass on what workers have reported, and print what they printed."""
    with suppress(EOFError):
        while workers.poll():
            match workers.recv():
                case Progress() as progress:
                    report(progress)
                case line:
                    print(line, flush=True)
