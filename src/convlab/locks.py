"""Locks between processes, each a file with a `flock`: however a process ends, its locks are released."""

import fcntl
import os
import weakref
from pathlib import Path
from typing import Self


class Lock:
    """A lock that this process holds until `release`, or until the object is garbage-collected."""

    def __init__(self, handle: int):
        self.release = weakref.finalize(self, os.close, handle)

    @classmethod
    def shared(cls, path: Path) -> Self:
        """Return a lock that any number may hold at once; waits while somebody holds it exclusively."""
        found = None
        while found is None:
            found = cls._take(path, fcntl.LOCK_SH)
        return found

    @classmethod
    def exclusive(cls, path: Path) -> Self | None:
        """Return a lock that nobody else holds, or None if somebody does."""
        return cls._take(path, fcntl.LOCK_EX | fcntl.LOCK_NB)

    @classmethod
    def _take(cls, path: Path, kind: int) -> Self | None:
        """Return the lock, or None if it is held, or whoever held it has removed its file."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
            lock = cls(handle)
            fcntl.flock(handle, kind)
            return lock if os.path.samestat(path.stat(), os.fstat(handle)) else None
        except (FileNotFoundError, BlockingIOError):
            return None
