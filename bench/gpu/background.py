"""The daemon's background processes besides training: they preprocess data and finish items."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from bench.gpu.plan import SEEDS
from bench.gpu.schedule import Schedule
from convlab import files

HERE = Path(__file__).parent
AT_ONCE = 6
POLL = 0.2  # seconds


@dataclass(frozen=True)
class BackgroundTask:
    """A script of this folder with its arguments; of the kinds the first have precedence."""

    kind: str  # prepare, results, figures
    arguments: tuple[str, ...]
    retry_key: str = ""  # what has to change before it is tried again


class BackgroundTasks:
    """The tasks that run, and those that were run before."""

    def __init__(self, lease: Path, names: list[str]):
        self.lease, self.names = lease, names
        self.running: dict[BackgroundTask, subprocess.Popen[bytes]] = {}
        self.tried: set[BackgroundTask] = set()

    def prepared(self) -> set[str]:
        """Return the data keys that are there."""
        return {path.name for path in self.lease.glob("prepared/[!.]*")}

    def run(self, schedule: Schedule, last: bool = False) -> bool:
        """Start what can be started now; return whether anything is running.

        `last`: no training comes any more.
        """
        self.running = {task: process for task, process in self.running.items() if process.poll() is None}
        for task in [*self._preparations(), *self._results(schedule, last), *self._figures()]:
            if len(self.running) < AT_ONCE and task not in self.tried:
                self.tried.add(task)
                self.running[task] = self._start(task)
        return bool(self.running)

    def finish(self, schedule: Schedule, seconds: float) -> None:
        """Do what is left, for at most `seconds`; retry once what failed before."""
        until = time.monotonic() + seconds
        self.tried = {task for task in self.tried if task in self.running}
        while self.run(schedule, last=True) and time.monotonic() < until:
            time.sleep(POLL)
        for process in self.running.values():
            process.kill()

    def _preparations(self) -> list[BackgroundTask]:
        manifest = files.read_json(self.lease / "manifest.json")
        found = []
        for dataset, lines in manifest["sets"].items():
            wanted = {
                key for key, data in manifest["data"].items() if data["experiment"]["dataset"] == dataset
            }
            paths = [self.lease / "packed" / line["file"] for line in (lines["labels"], *lines["images"])]
            if not wanted <= self.prepared() and all(path.is_file() for path in paths):
                # Carried again, after one was damaged, they are younger
                retry_key = str(max(path.parent.stat().st_mtime_ns for path in paths))
                found.append(BackgroundTask("prepare", (str(self.lease), dataset), retry_key))
        return found

    def _results(self, schedule: Schedule, last: bool) -> list[BackgroundTask]:
        found = []
        there = self.prepared()
        for name in self.names:
            if not schedule.data_of(name) <= there:  # kept trainings are done before their data has come
                continue
            seeds = schedule.complete(name)
            if not last and seeds < SEEDS:
                seeds = min(seeds, 1)  # two seeds say little more than one, and the third may follow soon
            if seeds and not (self.lease / "finished" / name / str(seeds)).exists():
                found.append(BackgroundTask("results", (str(self.lease), name, str(seeds))))
        return found

    def _figures(self) -> list[BackgroundTask]:
        best = {}
        for folder in sorted(self.lease.glob("finished/*/*")):
            best[folder.parent.name] = folder
        return [
            BackgroundTask("figures", (str(self.lease), name, folder.name, "--figures"))
            for name, folder in best.items()
            if name in self.names and not (folder / "figures.json").exists()
        ]

    def _start(self, task: BackgroundTask) -> subprocess.Popen[bytes]:
        script = "prepare_data.py" if task.kind == "prepare" else "finish.py"
        environment = {**os.environ, "OMP_NUM_THREADS": "2"}
        return subprocess.Popen([sys.executable, str(HERE / script), *task.arguments], env=environment)
