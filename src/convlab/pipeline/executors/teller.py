"""Messages and output of workers go through one pipe to their parent, the only one that prints.

A pipe, not a queue: a worker that is killed holds no lock that others would wait for. What is shorter than
4,096 bytes is written in one piece, so that several may write to it.
"""

import io
from contextlib import suppress
from multiprocessing.connection import Connection

from convlab.train.progress import Told, hear

MOST = 900  # characters of a line


class Teller(io.TextIOBase):
    """A worker's audience and its standard output: all goes to the parent, whole lines at a time."""

    def __init__(self, parent: Connection):
        self.parent, self.begun = parent, ""

    def write(self, text: str) -> int:
        """Send the lines that are whole."""
        *lines, self.begun = (self.begun + text).split("\n")
        for line in lines:
            self._send(line)
        return len(text)

    def hear(self, told: Told) -> None:
        """Send a training's progress."""
        self._send(told)

    def _send(self, what: Told | str) -> None:
        with suppress(OSError):  # the parent is gone, and so will this process be
            self.parent.send(what[:MOST] if isinstance(what, str) else what)


def listen(workers: Connection) -> None:
    """Pass on what workers have reported, and print what they printed."""
    with suppress(EOFError):
        while workers.poll():
            match workers.recv():
                case Told() as told:
                    hear(told)
                case line:
                    print(line, flush=True)
