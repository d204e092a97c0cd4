"""Trainings on a Ray cluster: the one that RAY_ADDRESS names, or else one that is started here.

Each worker is an actor that stays for all of a sweep, as importing PyTorch takes longer than a short trial.
One that dies is replaced, and its trial resumes from its last checkpoint.
"""

import os
import signal
import socket
import sys
import tempfile
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
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
from convlab.pipeline.executors.ray_worker import Worker
from convlab.pipeline.executors.workers import workers_asked_for
from convlab.pipeline.ledger import Ledger
from convlab.pipeline.provenance import hash_files, run_context
from convlab.train.device import ALL_THREADS

ADDRESS = "RAY_ADDRESS"
PACKAGE = Path(__file__).parents[2]
GPU_SHARE = 0.25  # of a GPU: networks for small images do not fill one
DEATHS = 3  # of one training's workers, before the run ends with an error
POLL = 0.5  # seconds between checks for output, and for a request to end
CHECKPOINT_SECONDS = 30.0  # between checkpoints of one training that are sent here
CONNECT_SECONDS = 5.0  # for a head to answer, and between looks whether it still does
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
    with _cluster(cpus, pins), deferred() as request:
        crew = _Crew(jobs, ledger, *_share(jobs, cpus))
        try:
            crew.work(request)
        finally:
            crew.marker.unlink(missing_ok=True)
    if request.number is not None:
        raise Interrupted(request.number, f"stopped in {crew.at_once} trainings at once")


@contextmanager
def _cluster(cpus: int, variables: Mapping[str, str]) -> Iterator[None]:
    """Attach to the cluster that RAY_ADDRESS names, or start one here that ends with this process.

    `variables`: further environment variables of the workers' processes.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_worker_niceness", "0")  # else its workers run at a low priority
    address = os.environ.get(ADDRESS, "")
    asked = workers_asked_for()
    here = {"address": "local", "include_dashboard": False}
    if asked:
        here["num_cpus"] = max(asked * cpus, os.cpu_count() or 1)  # as many as asked for, cores or not
    environment = {
        "OMP_NUM_THREADS": str(ALL_THREADS),  # Ray would set it to the share of the CPUs
        "MALLOC_ARENA_MAX": "1",  # a training runs in a thread: its memory is to be kept as a main thread's
        "CONVLAB_COMMIT": run_context()["git_commit"] or "",
        **variables,
    }
    terminate = signal.getsignal(signal.SIGTERM)  # Ray puts its own handler there
    try:
        if address:
            _check_reachable(address)
        ray.init(
            **({"address": address} if address else here),
            log_to_driver=False,
            logging_level="ERROR",
            # Every node runs this code, whatever is installed there.
            runtime_env={"py_modules": [str(PACKAGE)], "excludes": ["__pycache__"], "env_vars": environment},
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        where = f"{ADDRESS}: found {address!r}, but" if address else "Ray does not start here:"
        raise InputError(f"{where} {(str(error).splitlines() or [type(error).__name__])[0]}") from None
    try:
        signal.signal(signal.SIGTERM, terminate)
        yield
    finally:
        ray.shutdown()
        signal.signal(signal.SIGTERM, terminate)


def _check_reachable(address: str) -> None:
    """Refuse at once what Ray would try to reach for minutes.

    Raises:
        InputError: nothing listens there, or it is not the address of a head node.
    """
    if address in ("auto", "local"):
        return
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdecimal():
        raise InputError(
            f"{ADDRESS}: found {address!r}; allowed: HOST:PORT of a head node (`ray start --head`), auto"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise InputError(f"{ADDRESS}: found {address!r}, but nobody answers there ({error})") from None


def _share(jobs: Sequence[Job], cpus: int) -> tuple[dict[str, float], int]:
    """Return the resources that one training asks for, and how many of them to run at once.

    With CONVLAB_WORKERS there may be more than the cluster has room for now: with autoscaling, it grows.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    gpus = any(node.get("GPU") for node in nodes)
    wanted = {job.trial.experiment.device for job in jobs}
    if "cuda" in wanted or (gpus and "auto" in wanted):
        share, room = {"num_cpus": 1.0, "num_gpus": GPU_SHARE}, ("num_gpus", "GPU")
    else:
        largest = max((node.get("CPU", 0.0) for node in nodes), default=1.0)
        share, room = {"num_cpus": max(1.0, min(float(cpus), largest))}, ("num_cpus", "CPU")
    most = workers_asked_for() or sum(int(node.get(room[1], 0) // share[room[0]]) for node in nodes)
    return share, max(1, min(most, len(jobs)))


@dataclass
class _Hand:
    """A worker with its pending answer and its job (None while it starts)."""

    actor: Any
    answer: Any
    job: Job | None = None
    shared: bool = True
    look: Any = None
    sent_at: float = 0.0


class _Crew:
    """The workers, the jobs that wait for one, and the state of both."""

    def __init__(self, jobs: Sequence[Job], ledger: Ledger, share: dict[str, float], at_once: int):
        self.waiting = deque(jobs)
        self.ledger, self.at_once = ledger, at_once
        self.deaths: dict[str, int] = {}
        self.prepared: dict[Path, tuple[Any, str]] = {}  # data in the object store, with their hash
        self.marker = _marked(ledger.folder)
        self.head = ray.get_runtime_context().gcs_address
        self.asked_at = self.answered_at = monotonic()  # when the head was asked, and answered, last
        # Two threads: one trains, the other answers meanwhile.
        self.actors = ray.remote(max_concurrency=2, **share)(Worker)
        self.hands = [self._hire() for _ in range(at_once)]

    def work(self, request: Request) -> None:
        """Run everything, or end everything when asked to or when one fails.

        Raises:
            InputError: what a training raised; or its workers died again and again.
        """
        try:
            while self.hands and request.number is None:
                self._check_head()
                for hand in self._answered(POLL):
                    self._go_on(hand)
                self._listen()
        except BaseException:
            self._end(signal.SIGTERM)
            raise
        if request.number is not None:
            self._end(request.number)

    def _hire(self) -> _Hand:
        actor = self.actors.remote(ALL_THREADS)
        return _Hand(actor, actor.where.remote(socket.gethostname(), Path.cwd(), self.marker))

    def _check_head(self) -> None:
        """Refuse to wait for a head that is gone: after a minute Ray would end this process without a word of
        what is kept.

        Raises:
            InputError: it has not answered for half a minute.
        """
        if monotonic() - self.asked_at < CONNECT_SECONDS:
            return
        self.asked_at = monotonic()
        try:
            _check_reachable(self.head)
            self.answered_at = monotonic()
        except InputError:
            if monotonic() - self.answered_at < GONE_SECONDS:
                return
            self.hands = []  # nobody is left to be told
            raise InputError(
                f"Ray: the cluster's head at {self.head} is gone; what is finished, and each checkpoint that "
                "came here, is kept: run it again"
            ) from None

    def _answered(self, seconds: float) -> list[_Hand]:
        done, _ = ray.wait([hand.answer for hand in self.hands], timeout=seconds)
        return [hand for hand in self.hands if hand.answer in done]

    def _go_on(self, hand: _Hand) -> None:
        """Take a worker's answer, and give it the next job, if there is one."""
        try:
            self._take(hand)
        except RayTaskError as error:  # ours, raised there
            raise error.cause from None
        except RayError as error:
            self._replace(hand, error)
            return
        if self.waiting:
            self._give(hand, self.waiting.popleft())
        else:
            self.hands.remove(hand)
            ray.kill(hand.actor)

    def _take(self, hand: _Hand) -> None:
        answer = ray.get(hand.answer)
        if hand.job is None:
            if answer.torch != torch.__version__:
                raise InputError(
                    f"{answer.host} has PyTorch {answer.torch}, this machine {torch.__version__}: the bits "
                    "would differ; install the same there"
                )
            hand.shared = answer.shared
            return
        self._say(hand, last=True)
        self.ledger.put(hand.job.key, answer)
        hand.job = None

    def _give(self, hand: _Hand, job: Job) -> None:
        told: tuple[Any, str, dict[str, bytes]] = (None, "", {})
        if not hand.shared:
            if job.folder not in self.prepared:
                self.prepared[job.folder] = stored(job.folder)
            told = (*self.prepared[job.folder], self.ledger.contents(job.key))
        hand.answer = hand.actor.run.remote(job, self.ledger.folder, self.at_once, *told)
        hand.job, hand.sent_at = job, monotonic()

    def _replace(self, hand: _Hand, error: RayError) -> None:
        """Let another worker take the place of one that died, and resume its job."""
        label = hand.job.label if hand.job else "a worker"
        self.deaths[label] = self.deaths.get(label, 0) + 1
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        if self.deaths[label] >= DEATHS:
            raise InputError(
                f"{label}: its worker died {DEATHS} times (out of memory?): {reason}; the finished ones are "
                "kept: run it again, with fewer at once (CONVLAB_WORKERS) if memory is short"
            )
        print(f"{label}: its worker died; resuming in another one", file=sys.stderr, flush=True)
        self.hands.remove(hand)
        if hand.job:
            self.waiting.appendleft(hand.job)
        self.hands.append(self._hire())

    def _listen(self) -> None:
        """Print what workers have printed, and keep the checkpoints of those that share no folder."""
        for hand in self.hands:
            if hand.job and hand.look is None:
                wanted = not hand.shared and monotonic() - hand.sent_at > CHECKPOINT_SECONDS
                hand.sent_at = monotonic() if wanted else hand.sent_at
                hand.look = hand.actor.look.remote(wanted)
            elif hand.look is not None and ray.wait([hand.look], timeout=0)[0]:
                self._say(hand)

    def _say(self, hand: _Hand, last: bool = False) -> None:
        """Print what a look found; after the `last`, nothing is left."""
        looks = [hand.look, hand.actor.look.remote(False) if last else None]
        hand.look = None
        for look in filter(None, looks):
            with suppress(RayError):  # that it died is seen from its answer
                said, checkpoint = ray.get(look)
                print(said, end="", flush=True)
                if hand.job:
                    self.ledger.put(hand.job.key, checkpoint)

    def _end(self, number: int) -> None:
        """Let every training write a checkpoint, and end."""
        busy = [hand for hand in self.hands if hand.job]
        for hand in busy:
            hand.actor.end.remote(number)
        for hand in busy:
            with suppress(RayError):
                self._take(hand)


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
