"""The kinds of fault in the fault campaign.

Each is a context manager: entered at a random moment of a `dvc repro`, left when that has ended. It yields
whether there was something to break: a running process, a checkpoint, a database.
"""

import contextlib
import os
import random
import resource
import signal
import sqlite3
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from robustness.fault_clone import (
    SERVER_DATABASE,
    Clone,
    Process,
    kill,
    mount,
    session,
    unmount,
    with_patience,
)
from robustness.servers import free_port

BOTH = ("train", "sweep")
MIRRORING = ("train", "evaluate", "visualize", "sweep", "visualize_sweep")
FOLDERS = ("data", "metrics", "plots", ".convlab", ".dvc", "mlartifacts")
LONGEST_LOCK, LONGEST_FULL = 30.0, 60.0  # seconds
BLOCK, LAST_BYTES = 2**20, 200_000


@dataclass(frozen=True)
class Scene:
    """A running `dvc repro`, and where it runs."""

    clone: Clone
    process: Process
    chance: random.Random
    server: Process | None = None

    def ended(self) -> bool:
        """Return whether it has ended."""
        return self.process.poll() is not None


Fault = Callable[[Scene], AbstractContextManager[bool]]


@dataclass(frozen=True)
class Kind:
    """A kind of fault.

    `stages`: where it can have an effect; `mounts`: needs a disk of its own; `by_status`: it has hit if the
    process fails, since nothing else shows it; `tracking`: a fault in MLflow, which `convlab track` has to
    repair.
    """

    fault: Fault
    stages: tuple[str, ...] = ()
    mounts: bool = False
    by_status: bool = False
    tracking: bool = False


def group_signal(number: signal.Signals) -> Fault:
    """All processes get a signal at once: a power cut, a batch system, Ctrl-C."""

    @contextmanager
    def fault(scene: Scene) -> Iterator[bool]:
        alive = not scene.ended()
        kill(scene.process, number)
        yield alive

    return fault


@contextmanager
def one_process(scene: Scene) -> Iterator[bool]:
    """One process is killed, as by the kernel when memory is short: DVC, a stage, or a worker of a sweep."""
    found = session(scene.process.pid)
    if found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(scene.chance.choice(found), signal.SIGKILL)
    yield bool(found)


@contextmanager
def out_of_memory(scene: Scene) -> Iterator[bool]:
    """A worker, or else the stage, can map no further memory (less than it has mapped already).

    Not DVC itself, which would retry forever when its own SQLite finds no memory.
    """
    found = [one for one in session(scene.process.pid) if one != scene.process.pid]
    workers = [one for one in found if "--multiprocessing-fork" in _words(one)]
    victim = scene.chance.choice(workers) if workers else max(found, key=_resident, default=0)
    limit = _resident(victim) * resource.getpagesize()
    with contextlib.suppress(ProcessLookupError):
        if limit:  # else it has just ended; and 0 would be this process
            resource.prlimit(victim, resource.RLIMIT_AS, (limit, limit))
    yield bool(limit)


@contextmanager
def truncated_checkpoint(scene: Scene) -> Iterator[bool]:
    """Everything dies after a checkpoint; of each training the newest, or all, lost their ends."""

    def written() -> list[Path]:
        return sorted((scene.clone.folder / ".convlab").rglob("checkpoints/[0-9]*.safetensors"))

    with_patience(lambda: bool(written()) or scene.ended(), 600)
    with_patience(scene.ended, scene.chance.uniform(0, 4))
    kill(scene.process, signal.SIGKILL)
    scene.process.wait()
    found = written()
    newest = {path.parent: path for path in found}.values()
    for path in newest if scene.chance.random() < 0.5 else found:
        os.truncate(path, scene.chance.randrange(path.stat().st_size))
    yield bool(found)


@contextmanager
def truncated_data(scene: Scene) -> Iterator[bool]:
    """Everything dies, and a file of the raw or prepared data lost its end."""
    kill(scene.process, signal.SIGKILL)
    scene.process.wait()
    data = scene.clone.folder / "data"
    found = sorted(
        path for name in ("raw", "processed") for path in (data / name).rglob("*") if path.is_file()
    )
    if found:
        path = scene.chance.choice(found)
        path.chmod(0o644)
        os.truncate(path, scene.chance.randrange(path.stat().st_size))
    yield bool(found)


@contextmanager
def disk_full(scene: Scene) -> Iterator[bool]:
    """The disk is full but for some kilobytes, until the end, or until room is made.

    Where its own SQLite finds no room, DVC retries forever.
    """
    alive = not scene.ended()
    ballast = scene.clone.folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        with contextlib.suppress(OSError):
            while file.write(bytes(BLOCK)) == BLOCK:
                pass
        file.truncate(max(0, file.tell() - scene.chance.randrange(LAST_BYTES)))
    with_patience(scene.ended, LONGEST_FULL)
    ballast.unlink()
    yield alive


@contextmanager
def read_only(scene: Scene) -> Iterator[bool]:
    """A folder is read-only, until the end."""
    there = [folder for name in FOLDERS if (folder := scene.clone.folder / name).is_dir()]
    folder = scene.chance.choice(there)
    hit = not scene.ended() and mount("--bind", folder, folder)
    try:
        yield hit and mount("-o", "remount,ro,bind", folder)
    finally:
        if hit:
            unmount(folder)


@contextmanager
def database_deleted(scene: Scene) -> Iterator[bool]:
    """MLflow's database is deleted while everything runs."""
    there = (scene.clone.folder / "mlflow.db").exists()
    (scene.clone.folder / "mlflow.db").unlink(missing_ok=True)
    yield there


@contextmanager
def database_corrupt(scene: Scene) -> Iterator[bool]:
    """MLflow's database is overwritten, and still is at the next start."""
    (scene.clone.folder / "mlflow.db").write_bytes(scene.chance.randbytes(5000))
    yield not scene.ended()


@contextmanager
def database_locked(scene: Scene) -> Iterator[bool]:
    """Another program holds MLflow's database for a while, or to the end."""
    alive = not scene.ended()
    with contextlib.closing(sqlite3.connect(scene.clone.folder / "mlflow.db", timeout=60)) as connection:
        connection.execute("begin exclusive")
        with_patience(scene.ended, scene.chance.uniform(1, LONGEST_LOCK))
        connection.rollback()
    yield alive


@contextmanager
def server_gone(scene: Scene) -> Iterator[bool]:
    """The MLflow server dies, and stays away."""
    assert scene.server
    kill(scene.server, signal.SIGKILL)
    yield not scene.ended()


SERVER_GONE = "MLflow server gone"
KINDS = {
    "SIGKILL, all": Kind(group_signal(signal.SIGKILL)),
    "SIGTERM, all": Kind(group_signal(signal.SIGTERM)),
    "SIGINT, all": Kind(group_signal(signal.SIGINT)),
    "SIGKILL, one process": Kind(one_process),
    "out of memory, one process": Kind(out_of_memory, by_status=True),
    "disk full": Kind(disk_full, mounts=True),
    "a folder read-only": Kind(read_only, mounts=True),
    "checkpoints truncated": Kind(truncated_checkpoint, BOTH),
    "data truncated": Kind(truncated_data),
    "mlflow.db deleted": Kind(database_deleted, MIRRORING, tracking=True),
    "mlflow.db corrupt": Kind(database_corrupt, MIRRORING, tracking=True),
    "mlflow.db locked": Kind(database_locked, MIRRORING, tracking=True),
    SERVER_GONE: Kind(server_gone, MIRRORING, tracking=True),
}


@contextmanager
def tracking_server(clone: Clone, port: int | None = None) -> Iterator[tuple[Process, str]]:
    """Start an MLflow server in the clone; return it and its address."""
    port = port or free_port()
    uri = f"http://127.0.0.1:{port}"
    store = ("--backend-store-uri", f"sqlite:///{SERVER_DATABASE}", "--host", "127.0.0.1")
    process = clone.start("mlflow", "server", *store, "--port", str(port), "--workers", "1")
    try:
        with_patience(lambda: _answers(uri) or process.poll() is not None, 120)
        assert process.poll() is None, "the MLflow server does not start"
        yield process, uri
    finally:
        kill(process, signal.SIGKILL)
        process.wait()


def _answers(uri: str) -> bool:
    try:
        with urllib.request.urlopen(f"{uri}/health", timeout=1):
            return True
    except OSError:
        return False


def _words(process: int) -> str:
    try:
        return Path(f"/proc/{process}/cmdline").read_text()
    except OSError:
        return ""


def _pages(process: int) -> list[int]:
    try:
        return [int(text) for text in Path(f"/proc/{process}/statm").read_text().split()]
    except OSError:
        return []


def _resident(process: int) -> int:
    return (_pages(process) or [0, 0])[1]
