"""A lock that keeps the writers of other machines out: looking for a run and then creating it is not atomic.

A writer that wants in puts a name of its own into the server's model registry (`PREFIX`, a fresh uuid, its
clone) if there is no other, and then lists all such names. If its own is the only one, it is in; else it
looks again a little later, and removes its own unless that is the first in the alphabet, so that one gets
in. Two are never in at once: of two, one put its name there last, and saw the other's.

A thread changes a name's tag every few seconds as long as it is there. A name whose tag somebody has seen
unchanged for a minute, by their own clock, is that of a killed writer, and is removed. Else a writer touches
no name but its own, and no name is used twice, so that removing one twice or late harms nobody. A writer
that lives, but did not reach the server for half of that minute, creates nothing more (`check`).
"""

import random
import time
import uuid
from contextlib import suppress
from itertools import count
from threading import Event, Thread
from types import TracebackType
from typing import TYPE_CHECKING

from convlab.tracking.store import clone_id, create_model, tracking_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient

PREFIX, TAG = "convlab-writer-", "renewed"
WAIT_SECONDS = 600.0  # for the writers of other machines, before a result is left to `make track`
POLL_SECONDS = 0.1, 0.5  # between looks whether nobody is in; random, so that two do not collide again
HOLD_SECONDS = 5.0  # before others get a turn
RENEW_SECONDS = 5.0
STALE_SECONDS = 60.0
LEASE_SECONDS = STALE_SECONDS / 2  # shorter: calls take their time


class ServerLock:
    """A context in which no other writer is at work on the same server."""

    def __init__(self, client: "MlflowClient"):
        self.client = client
        self.needed = not tracking_uri().startswith("sqlite:")  # a file of this machine has its own lock
        self.name = ""
        self.taken = self.renewed = 0.0
        self.left = Event()
        self.thread: Thread | None = None

    def __enter__(self) -> "ServerLock":
        """Wait until nobody else is in.

        Raises:
            TimeoutError: others held the lock all the time.
        """
        if self.needed:
            self._take()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.needed:
            self._leave()

    def check(self) -> None:
        """Refuse to create anything once others may believe that this writer is dead.

        Raises:
            TimeoutError: the name was not renewed for half the time after which others remove it.
        """
        if self.needed and time.monotonic() - self.renewed > LEASE_SECONDS:
            raise TimeoutError(f"lost the server's lock: not renewed for {LEASE_SECONDS:g} s")

    def give_a_turn(self) -> bool:
        """Let others in for a moment if they had to wait for some seconds.

        Return whether others may have written since: what was read before may be out of date.

        Raises:
            TimeoutError: others were in all the time.
        """
        if not self.needed or time.monotonic() - self.taken < HOLD_SECONDS:
            return False
        self._leave()
        time.sleep(sum(POLL_SECONDS))  # longer than others wait between two looks
        self._take()
        return True

    def _take(self) -> None:
        seen: dict[str, tuple[str, float]] = {}
        until = time.monotonic() + WAIT_SECONDS
        try:
            while not self._enter(seen):
                if time.monotonic() > until:
                    raise TimeoutError(f"other writers held the server's lock for {WAIT_SECONDS:g} s")
                time.sleep(random.uniform(*POLL_SECONDS))
        except BaseException:
            self._leave()
            raise
        self.taken = time.monotonic()

    def _enter(self, seen: dict[str, tuple[str, float]]) -> bool:
        """Return whether this writer is in; if not, its name stays only if it comes first."""
        if not self.name:
            if self._present(seen):
                return False
            self._put_name()
        present = self._present(seen)
        if self.name not in present or self.name != min(present):
            self._leave()
        return present == [self.name]

    def _put_name(self) -> None:
        self.name = f"{PREFIX}{uuid.uuid4().hex}-{clone_id()[:8]}"
        self.renewed = time.monotonic()
        create_model(self.client, self.name)
        self.left = Event()
        self.thread = Thread(target=self._renew, args=(self.name, self.left), daemon=True)
        self.thread.start()

    def _present(self, seen: dict[str, tuple[str, float]]) -> list[str]:
        """List the names of writers that live, and remove those of the dead.

        `seen`: each name's tag and when it was first seen so, which is updated.
        """
        asked = time.monotonic()
        found = self.client.search_registered_models(f"name LIKE '{PREFIX}%'", max_results=1000)
        living = []
        for one in found:
            tag = one.tags.get(TAG, "")
            known, since = seen.get(one.name, ("", 0.0))
            if one.name not in seen or known != tag:
                seen[one.name] = tag, time.monotonic()
            elif asked - since > STALE_SECONDS:
                self._remove(one.name)
                continue
            living.append(one.name)
        return living

    def _renew(self, name: str, left: Event) -> None:
        from mlflow.exceptions import MlflowException

        for number in count(1):
            if left.wait(RENEW_SECONDS):
                return
            asked = time.monotonic()
            with suppress(MlflowException):  # unreachable, or removed by others: `check` sees it
                self.client.set_registered_model_tag(name, TAG, str(number))
                self.renewed = asked

    def _leave(self) -> None:
        self.left.set()
        if self.thread:
            self.thread.join()
        if self.name:
            self._remove(self.name)
        self.name, self.thread = "", None

    def _remove(self, name: str) -> None:
        from mlflow.exceptions import MlflowException

        with suppress(MlflowException):  # removed already; or unreachable, and it goes stale
            self.client.delete_registered_model(name)
