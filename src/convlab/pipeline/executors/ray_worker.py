"""What a node of a Ray cluster does: train one job after another, in a process that stays warm.

Where the node sees the driver's folder (the same machine, a shared file system), it works there. Else it gets
prepared data through the object store, once, and its results are sent back.
"""

import os
import socket
import tempfile
import threading
from collections import deque
from collections.abc import Mapping
from contextlib import nullcontext, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from convlab import files
from convlab.errors import InputError
from convlab.interrupt import Interrupted, Request
from convlab.pipeline.executors.job import Job, train_job
from convlab.pipeline.executors.relay import Message, Relay
from convlab.pipeline.ledger import Ledger
from convlab.pipeline.provenance import hash_files
from convlab.train import device, progress

Sent = Mapping[
    str, np.ndarray
]  # the bytes of prepared files by name: the object store returns arrays without a copy
Reported = tuple[list[Message], dict[str, bytes]]  # since the last one; what the driver's ledger has to hold


@dataclass(frozen=True)
class Node:
    """Where a worker runs: `shared` if it sees the driver's folder."""

    host: str
    torch: str
    shared: bool


class Worker:
    """An actor. Ray calls `run` in one thread, and `poll` and `stop` in another meanwhile."""

    def __init__(self, threads: int):
        # What `threads: null` means must not depend on the node: the last bits depend on it.
        device.ALL_THREADS = threads
        self.request = Request()
        self.messages = deque[Message]()  # one thread adds, both take
        self.taking = threading.Lock()
        self.output = Relay(self.messages.append)
        progress.report_to(self.output)
        self.near = True  # on the driver's machine
        self.ledger: Ledger | None = None  # this node's own, if nothing is shared
        self.key = ""
        self.sent = ""  # the checkpoint that was sent last
        self.prepared: dict[str, Path] = {}  # folders of prepared data that were checked, by their hash

    def where(self, host: str, folder: Path, marker: Path) -> Node:
        """Go to work in the `folder` of `host` if `marker` is seen, else in a folder of this node's own."""
        shared = marker.is_file()
        self.near = shared and socket.gethostname() == host
        if shared:
            os.chdir(folder)
        else:
            own = Path(tempfile.gettempdir()) / f"convlab-{os.getuid()}"
            own.mkdir(mode=0o700, exist_ok=True)
            os.chdir(own)
            self.ledger = Ledger(own / "trainings")
        return Node(socket.gethostname(), torch.__version__, shared)

    def run(
        self, job: Job, ledger: Path, at_once: int, prepared: Sent | None, data: str, begun: dict[str, bytes]
    ) -> Reported:
        """Train a job, or resume it.

        Args:
            job: what to train.
            ledger: where, if it is shared.
            at_once: how many run side by side.
            prepared: the prepared data, if nothing is shared.
            data: their hash.
            begun: the existing checkpoints, if nothing is shared.

        Return:
            What no poll has returned yet, and the outcome or, if it was asked to end, checkpoints: none on
            the same machine. (On a shared file system, a file may appear only after a minute.)
        """
        with redirect_stdout(self.output), redirect_stderr(self.output), suppress(Interrupted):
            if self.ledger is None:
                train_job(job, Ledger(ledger), at_once, lambda: nullcontext(self.request))
                return self._output(), {} if self.near else Ledger(ledger).contents(job.key)
            assert prepared is not None
            use = self.ledger.use(job.key)
            self.ledger.put(job.key, begun)
            self.key, self.sent = job.key, ""
            if data not in self.prepared:  # once: a worker would hash them for every trial
                self.prepared[data] = _laid_out(prepared, data)
            here = replace(job, folder=self.prepared[data])
            train_job(here, self.ledger, at_once, lambda: nullcontext(self.request))
        if self.ledger is None:
            return self._output(), {}
        self.key = ""
        made = self.ledger.contents(job.key)
        use.release()
        self.ledger.drop([job.key])
        return self._output(), made

    def _output(self) -> list[Message]:
        """Return what has been written since the last time."""
        with self.taking:
            return [self.messages.popleft() for _ in range(len(self.messages))]

    def poll(self, checkpoint: bool) -> Reported:
        """Return what it has written and, if wanted and not shared, a newer checkpoint."""
        output = self._output()
        if not (checkpoint and self.ledger and self.key):
            return output, {}
        found = self.ledger.contents(self.key)
        newest = max((name for name in found if name.startswith("checkpoints/")), default="")
        if newest in ("", self.sent):
            return output, {}
        self.sent = newest
        return output, {newest: found[newest]}

    def stop(self, number: int) -> None:
        """Let what runs write a checkpoint and stop, as the signal `number` does elsewhere."""
        self.request.number = number


def _laid_out(prepared: Sent, data: str) -> Path:
    """Return a folder with the prepared data, written once per node, and checked by their hash.

    It stays there for the next sweep: nobody knows which other workers of the node still read it.

    Raises:
        InputError: what came is not what was sent.
    """
    folder = Path("prepared") / data
    for _ in range(2):
        with suppress(FileNotFoundError):
            if hash_files(folder / name for name in sorted(prepared)) == data:
                return folder
        for name, content in prepared.items():
            files.write_bytes(folder / name, content.tobytes())
    raise InputError(f"{folder.resolve()}: the prepared data arrived damaged on {socket.gethostname()}")
