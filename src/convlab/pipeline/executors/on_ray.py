"""Trainings on a Ray cluster (ray_cluster.py): jobs are assigned to workers, and what they send is kept.

Each worker is an actor that stays for all of a sweep, as importing PyTorch takes longer than a short trial.
One that dies is replaced, and its trial resumes from its last checkpoint.
"""

import os
import signal
import socket
import sys
import tempfile
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import ray
import torch
from ray.exceptions import RayError, RayTaskError

from convlab import portable
from convlab.errors import InputError
from convlab.interrupt import Interrupted, Request, deferred
from convlab.pipeline.executors.job import Job
from convlab.pipeline.executors.ray_cluster import (
    CONNECT_SECONDS,
    amounts,
    check_reachable,
    cluster,
    share_of,
)
from convlab.pipeline.executors.ray_worker import Reported, Worker
from convlab.pipeline.executors.relay import show
from convlab.pipeline.ledger import Ledger
from convlab.pipeline.provenance import hash_files
from convlab.train.device import ALL_THREADS

MAX_DEATHS = 3  # of workers with the same training, or in one place before they start; then the run ends
POLL = 0.5  # seconds between polls of all workers for output, and between checks for a request to end
CHECKPOINT_SECONDS = 30.0  # between checkpoints of one training that are sent here
START_SECONDS = 30.0  # without any worker, before a line says so
GONE_SECONDS = 30.0  # without an answer: one that restarts (KubeRay) is back before; Ray itself ends after 60
FILES = ("statistics.json", "test.safetensors", "train.safetensors", "validation.safetensors")


def run_on_ray(jobs: Sequence[Job], ledger: Ledger) -> None:
    """Run jobs on a Ray cluster (see `Executor`)."""
    for job in jobs:
        if job.trial.experiment.devices > 1:
            raise InputError(
                f"{job.label}: devices: found {job.trial.experiment.devices} with CONVLAB_EXECUTOR=ray, "
                "where each training has one; allowed: 1, or CONVLAB_EXECUTOR=processes"
            )
    cpus = max(job.trial.experiment.threads or ALL_THREADS for job in jobs)
    pins = portable.PINS if any(job.trial.experiment.portable for job in jobs) else {}
    with cluster(cpus, pins), deferred() as request:
        pool = _Pool(jobs, ledger, *share_of(jobs, cpus))
        try:
            pool.work(request)
        finally:
            pool.marker.unlink(missing_ok=True)
    if request.number is not None:
        raise Interrupted(request.number, f"stopped {pool.at_once} parallel trainings")


@dataclass
class _Slot:
    """A worker with its pending answer and its job (None while it starts).

    `failed_starts`: the workers that died in its place, one after the other, while they started.
    """

    actor: Any
    answer: Any
    failed_starts: int = 0
    job: Job | None = None
    shared: bool = True
    poll: Any = None
    sent_at: float = 0.0


class _Pool:
    """The workers, the jobs that wait for one, and the state of both."""

    def __init__(self, jobs: Sequence[Job], ledger: Ledger, share: dict[str, float], at_once: int):
        self.waiting = deque(jobs)
        self.ledger, self.share, self.at_once = ledger, share, at_once
        self.deaths = Counter[str]()  # of workers with a job, by its label
        self.prepared: dict[Path, tuple[Any, str]] = {}  # data in the object store, with their hash
        self.marker = _marked(ledger.folder)
        self.head = ray.get_runtime_context().gcs_address
        self.unstarted = True
        self.poll_at = 0.0
        self.began = self.asked_at = self.answered_at = (
            monotonic()
        )  # when the head was asked, and answered, last
        # Two threads: one trains, the other answers meanwhile.
        self.actors = ray.remote(max_concurrency=2, **share)(Worker)
        self.slots = [self._start_worker() for _ in range(at_once)]

    def work(self, request: Request) -> None:
        """Run everything, or end everything when asked to or when one fails.

        Raises:
            InputError: what a training raised; or its workers died again and again.
        """
        try:
            while self._unfinished() and request.number is None:
                self._check_head()
                self._check_start()
                for slot in self._ready():
                    self._advance(slot)
                if monotonic() >= self.poll_at:
                    self._poll_output()
                    self.poll_at = monotonic() + POLL
        except BaseException:
            self._stop(signal.SIGTERM)
            raise
        if request.number is not None:
            self._stop(request.number)

    def _start_worker(self, failed_starts: int = 0) -> _Slot:
        actor = self.actors.remote(ALL_THREADS)
        answer = actor.where.remote(socket.gethostname(), Path.cwd(), self.marker)
        return _Slot(actor, answer, failed_starts)

    def _unfinished(self) -> bool:
        return bool(self.waiting) or any(slot.job for slot in self.slots)

    def _check_start(self) -> None:
        """Say once that no worker starts: Ray waits for resources silently, without a limit."""
        if self.unstarted and monotonic() - self.began > START_SECONDS:
            self.unstarted = False
            print(
                f"Ray: no worker has started for {START_SECONDS:g} s; each needs {amounts(self.share)} of "
                "one node (`ray status` shows what is free)",
                file=sys.stderr,
                flush=True,
            )

    def _check_head(self) -> None:
        """Refuse to wait for a head that is gone: after a minute Ray would end this process without
        saying what is kept.

        Raises:
            InputError: it has not answered for half a minute.
        """
        if monotonic() - self.asked_at < CONNECT_SECONDS:
            return
        self.asked_at = monotonic()
        try:
            check_reachable(self.head)
            self.answered_at = monotonic()
        except InputError:
            if monotonic() - self.answered_at < GONE_SECONDS:
                return
            self.slots = []  # nobody is left to be stopped
            raise InputError(
                f"Ray: the cluster's head at {self.head} is gone; what is finished, and each checkpoint that "
                "came here, is kept: run it again"
            ) from None

    def _ready(self) -> list[_Slot]:
        """Wait for an answer until the next poll; return the workers of all that are there."""
        answers = [slot.answer for slot in self.slots]
        ray.wait(answers, timeout=max(0.0, self.poll_at - monotonic()))
        there = _there(answers)
        return [slot for slot in self.slots if slot.answer in there]

    def _advance(self, slot: _Slot) -> None:
        """Take a worker's answer, and give it the next job, if there is one."""
        try:
            self._collect(slot)
        except RayTaskError as error:  # ours, raised there
            raise error.cause from None
        except RayError as error:
            self._replace(slot, error)
            return
        if self.waiting:
            self._assign(slot, self.waiting.popleft())
        else:
            self.slots.remove(slot)
            ray.kill(slot.actor)

    def _collect(self, slot: _Slot) -> None:
        answer = ray.get(slot.answer)
        if slot.job is None:
            self.unstarted = False
            if answer.torch != torch.__version__:
                raise InputError(
                    f"{answer.host} has PyTorch {answer.torch}, this machine {torch.__version__}: the bits "
                    "would differ; install the same there"
                )
            slot.shared = answer.shared
            return
        if slot.poll:
            self._take_poll(slot)
        self._take(slot.job, answer)
        slot.job = None

    def _assign(self, slot: _Slot, job: Job) -> None:
        payload: tuple[Any, str, dict[str, bytes]] = (None, "", {})
        if not slot.shared:
            if job.folder not in self.prepared:
                self.prepared[job.folder] = stored(job.folder)
            payload = (*self.prepared[job.folder], self.ledger.contents(job.key))
        slot.answer = slot.actor.run.remote(job, self.ledger.folder, self.at_once, *payload)
        slot.job, slot.sent_at = job, monotonic()

    def _replace(self, slot: _Slot, error: RayError) -> None:
        """Let another worker take the place of one that died, and resume its job."""
        if slot.job:
            what, then = f"{slot.job.label}: its worker died", "resuming in another one"
            self.deaths[slot.job.label] += 1
            deaths, failed_starts = self.deaths[slot.job.label], 0
        else:  # a lost node may have had many that were starting: each counts in its own place
            what, then = "Ray: a worker died while it started", "starting another"
            deaths = failed_starts = slot.failed_starts + 1
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        if deaths >= MAX_DEATHS:
            raise InputError(
                f"{what}, {deaths} times (out of memory?): {reason}; the finished ones are kept: run it "
                "again, with fewer at once (CONVLAB_WORKERS) if memory is short"
            )
        print(f"{what}; {then}", file=sys.stderr, flush=True)
        self.slots.remove(slot)
        if slot.job:
            self.waiting.appendleft(slot.job)
        self.slots.append(self._start_worker(failed_starts))

    def _poll_output(self) -> None:
        """Show what workers have reported, and keep the checkpoints of those that share no folder."""
        there = _there([slot.poll for slot in self.slots if slot.poll])
        for slot in self.slots:
            if slot.poll in there:
                self._take_poll(slot)
            if slot.job and slot.poll is None:
                wanted = not slot.shared and monotonic() - slot.sent_at > CHECKPOINT_SECONDS
                slot.sent_at = monotonic() if wanted else slot.sent_at
                slot.poll = slot.actor.poll.remote(wanted)

    def _take_poll(self, slot: _Slot) -> None:
        """Take what a poll has found."""
        poll, slot.poll = slot.poll, None
        with suppress(RayError):  # that it died is seen from its answer
            self._take(slot.job, ray.get(poll))

    def _take(self, job: Job | None, report: Reported) -> None:
        """Show what a worker has written, and keep what belongs into the ledger."""
        output, contents = report
        for message in output:
            show(message)
        if job:
            self.ledger.put(job.key, contents)

    def _stop(self, number: int) -> None:
        """Let every training write a checkpoint, and end."""
        busy = [slot for slot in self.slots if slot.job]
        for slot in busy:
            slot.actor.stop.remote(number)
        for slot in busy:
            with suppress(RayError):
                self._collect(slot)


def _there(answers: list[Any]) -> set[Any]:
    """Return those of the answers that have come (with one call: one for each answer costs far more)."""
    return set(ray.wait(answers, num_returns=len(answers), timeout=0)[0]) if answers else set()


def _marked(folder: Path) -> Path:
    """Return an empty file in a folder: a worker that sees it shares the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=folder, prefix="seen-from-")
    os.close(handle)
    return Path(name).resolve()


def stored(folder: Path) -> tuple[Any, str]:
    """Put prepared data into the object store, and return their reference and their hash.

    Raises:
        InputError: they do not fit, in memory or (to where Ray spills what does not) on the disk.
    """
    sent: Mapping[str, np.ndarray] = {name: np.fromfile(folder / name, np.uint8) for name in FILES}
    try:
        return ray.put(sent), hash_files(folder / name for name in sorted(FILES))
    except RayError as error:
        size = sum(content.nbytes for content in sent.values()) / 1e6
        raise InputError(
            f"{folder}: {size:,.0f} MB of prepared data do not fit into Ray's object store "
            f"({type(error).__name__}); start the head with a larger --object-store-memory, or let the nodes "
            "share the folder with this machine"
        ) from None
