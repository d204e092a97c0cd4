"""SIGINT, SIGTERM, SIGHUP: a training ends its step and writes a checkpoint, an import is not broken off."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

POLL = 0.5  # seconds between checks whether DVC is still running
IMPORT_POLL = 0.05  # seconds between checks whether an import is still running


def _parent_of(process: int) -> int | None:
    """Return the parent of a process, or None where that cannot be known (no Linux, no such process)."""
    try:
        return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, ValueError):
        return None


def _started_by() -> list[tuple[int, int | None]]:
    """List the processes to watch, as (process, its parent): this one, and the shell of `sh -c` above it.

    DVC runs a stage's command in a shell. Some shells exec the command; dash stays, and outlives DVC.
    """
    parent = os.getppid()
    found: list[tuple[int, int | None]] = [(os.getpid(), parent)]
    try:
        arguments = Path(f"/proc/{parent}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return found
    return [*found, (parent, _parent_of(parent))] if b"-c" in arguments[1:3] else found


class Interrupted(Exception):
    """A training was asked to end. `number` is the signal's; the exit status is 128 more."""

    def __init__(self, number: int, message: str = ""):
        super().__init__(number, message)
        self.number, self.message = number, message

    def __str__(self) -> str:
        return f"{signal.Signals(self.number).name}: {self.message}"


class Request:
    """Whether a training was asked to end: the number of the signal, or None."""

    number: int | None = None


@contextmanager
def deferred() -> Iterator[Request]:
    """Record SIGINT, SIGTERM and SIGHUP instead of ending; a second one acts as usual.

    In a worker it does not: Ctrl-C reaches worker and parent, and the parent passes it on. Nor does SIGHUP,
    which a shell and the kernel both send as a terminal is closed, and which stays ignored where `nohup` has
    had it ignored. Outside the main thread, where Python allows no handlers, nothing changes.
    """
    request = Request()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    if before[signal.SIGHUP] == signal.SIG_IGN:
        del before[signal.SIGHUP]

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def note(number: int, frame: FrameType | None) -> None:
        request.number = number
        if multiprocessing.parent_process() is None and number != signal.SIGHUP:
            restore()

    for number in before:
        signal.signal(number, note)
    try:
        yield request
    finally:
        restore()


def spare_imports() -> None:
    """Let SIGINT raise KeyboardInterrupt as usual, but only once an import that is running has ended.

    Inside one, a library may swallow the exception, or keep a module half made: a training went on after
    Ctrl-C, or ended in NumPy's endless recursion. Where SIGINT is ignored or handled, nothing changes.
    """
    main = threading.current_thread() is threading.main_thread()
    if main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGALRM, lambda number, frame: os.kill(os.getpid(), signal.SIGINT))
        signal.signal(signal.SIGINT, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    running = frame
    while running and running.f_code.co_filename != "<frozen importlib._bootstrap>":
        running = running.f_back
    if running is None:
        signal.default_int_handler(number, frame)
    signal.setitimer(signal.ITIMER_REAL, IMPORT_POLL)


def end_with_parent() -> None:
    """End this process when the one that started it is gone: SIGKILL must leave no orphan."""
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
        os._exit(1)


def end_with_dvc() -> None:
    """End this process, as SIGTERM does, when the `dvc repro` that runs it as a stage is gone.

    If only DVC is killed (out of memory), its stage would keep writing alongside the next `dvc repro`. Call
    this before the imports that take seconds: that DVC ended before the call is not noticed.
    """
    if "DVC_STAGE" in os.environ:
        threading.Thread(target=_end_with_starters, args=[_started_by()], daemon=True).start()


def _end_with_starters(started_by: list[tuple[int, int | None]]) -> None:
    (_, parent), *shell = started_by
    while os.getppid() == parent and all(_parent_of(process) == its for process, its in shell):
        time.sleep(POLL)
    os.kill(os.getpid(), signal.SIGTERM)
