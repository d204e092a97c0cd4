"""A small pipeline in a folder of its own, to be broken: run it, restore it, inspect what it left.

Two seeds' worth of digits and a sweep of two trials in two workers, each long enough for checkpoints.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from bench import work_tree
from convlab.config import read_params

REPOSITORY = Path(__file__).parent.parent
SIZE = "200m"  # of the clone's own disk, where one can be mounted
SERVER_DATABASE = "server.db"
MADE = (
    "data/",
    "metrics",
    "plots",
    ".convlab",
    ".dvc/cache",
    ".dvc/tmp",
    "dvc.lock",
    "mlflow.db",
    "mlartifacts",
    SERVER_DATABASE,
)
COMPARED = ("data", "metrics", "plots")
TIMING = "timing.json"  # differs from run to run
LIMIT = 400.0  # seconds of CPU, several times what the whole pipeline takes: what computes longer hangs
QUIET, IDLE = (
    120.0,
    0.5,
)  # so does what computes less than IDLE seconds in QUIET seconds; a loaded machine is slow
RUNNING = re.compile(r"Running stage '(.+)':")
Process = subprocess.Popen[bytes]


def small(params: dict[str, Any]) -> None:
    """Settings of the campaign: seconds of work in each stage."""
    params["experiments"]["digits"]["epochs"] = 20
    params["sweeps"]["digits_l2"] |= {"overrides": {"epochs": 16}, "grid": {"l2": [0.0, 0.001]}, "seeds": 1}
    params |= {"run": ["digits"], "run_sweeps": ["digits_l2"], "claims": {}}


class Clone:
    """A copy of the working tree without results; `targets` are the stages to ask for, all unless given."""

    def __init__(self, folder: Path, shrink: Callable[[dict[str, Any]], None] = small, targets: str = ""):
        self.folder, self.targets = folder, targets.split()
        self.kept = folder.with_name(f"{folder.name}-kept")  # the undisturbed run's files
        names = (name for name in work_tree.listed(REPOSITORY) if not name.startswith(MADE))
        work_tree.copy(names, REPOSITORY, folder)
        subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
        params = read_params(folder / "params.yaml")
        shrink(params)
        (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
        (folder / "studies.yaml").write_text("{}\n")  # all stands in params.yaml now
        self.clear()

    def start(self, *command: str, stdout: Any = None, **environment: str) -> Process:
        """Start a command in the clone, as the leader of a session, as from a terminal."""
        kept = work_tree.environment(self.folder) | {
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "DVC_SITE_CACHE_DIR": str(self.folder / ".dvc/tmp/site"),
            "TMPDIR": str(self.folder / ".dvc/tmp"),  # a full disk is full for temporary files too
        }
        with self.log.open("ab") as log:
            return subprocess.Popen(
                command,
                cwd=self.folder,
                env=kept | environment,
                stdout=stdout or log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_hear_interrupts,
            )

    @property
    def log(self) -> Path:
        """What commands print; beside the clone, whose disk may be full."""
        return self.folder.with_name(f"{self.folder.name}.log")

    def repro(self, stdout: Any = None, **environment: str) -> Process:
        """Start `dvc repro`."""
        return self.start("dvc", "repro", *self.targets, stdout=stdout, **environment)

    def undisturbed(self) -> dict[str, float]:
        """Run the pipeline from nothing, keep its files; return each stage's seconds with DVC's start."""
        began = time.monotonic()
        process = self.repro(stdout=subprocess.PIPE)
        starts = {}
        for line in process.stdout or ():
            if found := RUNNING.match(line.decode()):
                starts[found[1]] = time.monotonic()
        assert process.wait() == 0, f"the undisturbed run failed: {self.log.read_text()[-2000:]}"
        self.copy(self.folder, self.kept)
        first = min(starts.values()) - began
        ends = [*list(starts.values())[1:], time.monotonic()]
        return {name: first + end - start for (name, start), end in zip(starts.items(), ends, strict=True)}

    def restore(self, stage: str | None) -> None:
        """Restore the end of the undisturbed run, except that a stage has not run; None: no stage has."""
        self.clear()
        if stage is None:
            return
        self.copy(self.kept, self.folder)
        shutil.rmtree(
            self.folder / ".dvc/cache/runs", ignore_errors=True
        )  # so that nothing comes from a cache
        lock = yaml.safe_load((self.folder / "dvc.lock").read_text())
        for out in lock["stages"].pop(stage)["outs"]:
            self._uncache(out["md5"])
            _remove(self.folder / out["path"])
        (self.folder / "dvc.lock").write_text(yaml.safe_dump(lock, sort_keys=False))

    def clear(self) -> None:
        """Remove everything that the pipeline makes."""
        for name in MADE:
            _remove(self.folder / name)
        (self.folder / ".dvc/tmp").mkdir()

    def state(self) -> dict[str, str]:
        """Hash everything that the pipeline writes but the timings, and what DVC's lock file says of it.

        Hidden files are no results: a SIGKILL may leave the temporary one that was being written. Inside an
        output of DVC's it would change the lock file.
        """
        paths = [path for name in COMPARED for path in (self.folder / name).rglob("[!.]*") if path.is_file()]
        contents = {
            str(path.relative_to(self.folder)): path.read_bytes() for path in paths if path.name != TIMING
        }
        lock = self.folder / "dvc.lock"
        entries = yaml.safe_load(lock.read_text()) if lock.exists() else None  # in the order of their runs
        contents["dvc.lock"] = json.dumps(entries, sort_keys=True).encode()
        return {name: hashlib.sha256(content).hexdigest() for name, content in sorted(contents.items())}

    def runs(self, database: str = "mlflow.db") -> list[tuple[str, str]]:
        """List MLflow's runs that are not deleted: (name, status), sorted; none before there is a table.

        Raises:
            sqlite3.DatabaseError: the file is no database.
        """
        if not (self.folder / database).exists():
            return []
        with contextlib.closing(sqlite3.connect(self.folder / database)) as connection:
            if not connection.execute("select 1 from sqlite_master where name = 'runs'").fetchall():
                return []
            query = "select name, status from runs where lifecycle_stage = 'active'"
            return sorted(connection.execute(query).fetchall())

    def copy(self, source: Path, target: Path) -> None:
        """Copy everything that the pipeline makes."""
        for name in MADE:
            if (source / name).is_dir():
                shutil.copytree(source / name, target / name, dirs_exist_ok=True)
            elif (source / name).exists():
                shutil.copy2(source / name, target / name)

    def _uncache(self, digest: str) -> None:
        path = self.folder / ".dvc/cache/files/md5" / digest[:2] / digest[2:]
        if digest.endswith(".dir") and path.exists():
            for entry in json.loads(path.read_text()):
                self._uncache(entry["md5"])
        _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _hear_interrupts() -> None:
    """What a shell starts in the background ignores SIGINT, and its children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def own_disk(folder: Path) -> Iterator[bool]:
    """Mount a small disk in memory at `folder`; return whether that is possible here (Linux, as root)."""
    folder.mkdir()
    mounted = mount("-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", folder)
    try:
        yield mounted
    finally:
        if mounted:
            unmount(folder)


def mount(*arguments: str | Path) -> bool:
    """Mount something; return whether it worked."""
    if not shutil.which("mount"):
        return False
    return subprocess.run(["mount", *arguments], stderr=subprocess.DEVNULL).returncode == 0


def unmount(folder: Path) -> None:
    """Unmount a folder, at once, even while it is in use."""
    subprocess.run(["umount", "--lazy", folder], check=True)


def session(leader: int) -> list[int]:
    """List the processes of a session that still run."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[3]) == leader and fields[0] not in "ZX":
            found.append(int(path.parent.name))
    return found


def hangs(process: Process) -> bool:
    """Wait until a process has ended; return True if its session hangs: idle, or computing far too long."""
    since, before = time.monotonic(), 0.0
    while not with_patience(lambda: process.poll() is not None, 1.0):
        now, used = time.monotonic(), sum(map(_cpu_seconds, session(process.pid)))
        if abs(used - before) > IDLE:
            since, before = now, used
        if now - since > QUIET or used > LIMIT:
            return True
    return False


def _cpu_seconds(process: int) -> float:
    """Return what a process has computed, with those of its children that have ended; 0 if it has ended."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def kill(process: Process, number: signal.Signals) -> None:
    """Send a signal to the whole group, as a terminal or a batch system does."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def end(process: Process) -> None:
    """Kill what is left of a session, so that it does not disturb the next round."""
    while left := session(process.pid):
        for one in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)
    process.wait()


def with_patience(done: Callable[[], bool], seconds: float) -> bool:
    """Wait until something is done, or for `seconds`; return whether it is."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and not done():
        time.sleep(0.02)
    return done()
