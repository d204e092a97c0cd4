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
class Errand:
    """A script of this folder with its arguments; of the kinds the first have precedence."""

    kind: str  # splits, results, figures
    arguments: tuple[str, ...]
    occasion: str = ""  # what has to change before it is tried again


class Errands:
    """The errands that run, and those that were run before."""

    def __init__(self, lease: Path, names: list[str]):
        self.lease, self.names = lease, names
        self.running: dict[Errand, subprocess.Popen[bytes]] = {}
        self.tried: set[Errand] = set()

    def prepared(self) -> set[str]:
        """Return the data keys that are there."""
        return {path.name for path in self.lease.glob("prepared/[!.]*")}

    def run(self, schedule: Schedule, last: bool = False) -> bool:
        """Start what can be started now; return whether anything is running.

        `last`: no training comes any more.
        """
        self.running = {errand: process for errand, process in self.running.items() if process.poll() is None}
        for errand in [*self._splits(), *self._results(schedule, last), *self._figures()]:
            if len(self.running) < AT_ONCE and errand not in self.tried:
                self.tried.add(errand)
                self.running[errand] = self._start(errand)
        return bool(self.running)

    def finish(self, schedule: Schedule, seconds: float) -> None:
        """Do what is left, for at most `seconds`; retry once what failed before."""
        until = time.monotonic() + seconds
        self.tried = {errand for errand in self.tried if errand in self.running}
        while self.run(schedule, last=True) and time.monotonic() < until:
            time.sleep(POLL)
        for process in self.running.values():
            process.kill()

    def _splits(self) -> list[Errand]:
        manifest = files.read_json(self.lease / "manifest.json")
        found = []
        for dataset, lines in manifest["sets"].items():
            wanted = {
                key for key, data in manifest["data"].items() if data["experiment"]["dataset"] == dataset
            }
            paths = [self.lease / "packed" / line["file"] for line in (lines["labels"], *lines["images"])]
            if not wanted <= self.prepared() and all(path.is_file() for path in paths):
                # Carried again, after one was damaged, they are younger
                occasion = str(max(path.parent.stat().st_mtime_ns for path in paths))
                found.append(Errand("splits", (str(self.lease), dataset), occasion))
        return found

    def _results(self, schedule: Schedule, last: bool) -> list[Errand]:
        found = []
        there = self.prepared()
        for name in self.names:
            if not schedule.data_of(name) <= there:  # kept trainings are done before their data has come
                continue
            seeds = schedule.complete(name)
            if not last and seeds < SEEDS:
                seeds = min(seeds, 1)  # two seeds say little more than one, and the third may follow soon
            if seeds and not (self.lease / "finished" / name / str(seeds)).exists():
                found.append(Errand("results", (str(self.lease), name, str(seeds))))
        return found

    def _figures(self) -> list[Errand]:
        best = {}
        for folder in sorted(self.lease.glob("finished/*/*")):
            best[folder.parent.name] = folder
        return [
            Errand("figures", (str(self.lease), name, folder.name, "--figures"))
            for name, folder in best.items()
            if name in self.names and not (folder / "figures.json").exists()
        ]

    def _start(self, errand: Errand) -> subprocess.Popen[bytes]:
        script = "splits.py" if errand.kind == "splits" else "finish.py"
        environment = {**os.environ, "OMP_NUM_THREADS": "2"}
        return subprocess.Popen([sys.executable, str(HERE / script), *errand.arguments], env=environment)
