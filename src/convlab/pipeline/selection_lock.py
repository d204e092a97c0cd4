"""The lock of what changes the selection in params.yaml for a while: a campaign, `make push`, `make gc`."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from convlab import files
from convlab.errors import InputError

CAMPAIGN = "a campaign"


@contextmanager
def selection_lock(who: str = CAMPAIGN) -> Iterator[IO[str]]:
    """Hold the lock inside the context; a child that inherits its file holds the lock, too.

    So the lock of a campaign that was killed is released only when its `dvc repro` has ended.

    Raises:
        InputError: another process has it; says whose it is.
    """
    path = files.scratch() / "campaign.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o644), "r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            other, _, process = file.read().strip().partition(": ")
            raise InputError(
                f"{path}: {other or CAMPAIGN} is running here ({process or 'starting'}); "
                "wait for it to end, or stop it with `kill -INT PROCESS` (if that was killed: "
                "`kill -INT -- -GROUP`)"
            ) from None
        note(file, f"process {os.getpid()}", who)
        yield file


def note(lock: IO[str], process: str, who: str = CAMPAIGN) -> None:
    """Write into the lock's file what another one will print."""
    content = f"{who}: {process}".encode()  # over what is there, unbuffered: on a full disk that still works
    os.pwrite(lock.fileno(), content, 0)
    os.ftruncate(lock.fileno(), len(content))
