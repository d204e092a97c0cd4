"""SIGINT and SIGTERM during a training: finish the step, write a checkpoint, then end."""

import multiprocessing
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupted(Exception):
    """A training was asked to end. `number` is the signal's; the exit status is 128 more."""

    def __init__(self, number: int, message: str = ""):
        super().__init__(number, message)
        self.number, self.message = number, message

    def __str__(self) -> str:
        return f"{signal.Signals(self.number).name}: {self.message}"


class Request:
    """Whether somebody asked for the end: the number of the signal, or None."""

    number: int | None = None


@contextmanager
def deferred() -> Iterator[Request]:
    """Only take note of SIGINT and SIGTERM inside; a second one works as ever.

    In a worker it does not: Ctrl-C reaches worker and parent, and the parent passes it on. Outside the main
    thread, where Python allows no handlers, nothing changes.
    """
    request = Request()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in signals}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def note(number: int, frame: FrameType | None) -> None:
        request.number = number
        if multiprocessing.parent_process() is None:
            restore()

    for number in signals:
        signal.signal(number, note)
    try:
        yield request
    finally:
        restore()
