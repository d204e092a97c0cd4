"""Simulate a whole lease on the CPU, with tiny data, short recipes, and injected faults.

    python bench/gpu/simulate.py [--folder FOLDER] [--seconds N] [--wheels]

In FOLDER (a temporary one): `home`, a clone of the working tree; `there`, its copy as a GPU machine gets it;
`lease`. Injected: a training that raises once, one that raises twice and one that raises always, one that
would not end before the deadline, a worker that is killed, the daemon killed and started again, data that
comes late, and one file of it damaged at first. Then all is collected once more, and `measure` runs. Exit
status 1 if anything did not end well.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from bench import work_tree
from bench.gpu.pack import NOT_NEEDED
from bench.gpu.small_data import expect_small_data, write_small_data
from bench.options import seconds
from convlab.config import read_params
from convlab.errors import Parser, run

TRAIN, TEST, VALIDATION = 450, 50, 50
ROOM = 1_600_000  # bytes in a part: so that each data set comes with a call of its own
PLAN: dict[str, Any] = {
    "champions": ["mnist_vgg"],
    "items": [
        {"name": "mnist_vgg", "seconds": 5},
        {"name": "mnist_vgg_l2", "seconds": 5},
        {"name": "mnist_cnn", "seconds": 5},
        {"name": "cifar10_resnet18", "seconds": 5},
        {"name": "cifar10_simplecnn", "seconds": 5},
        {"name": "fashion_preact", "seconds": 5},
    ],
}
SEEDS = {item["name"]: 3 for item in PLAN["items"]} | {"cifar10_simplecnn": 2}  # its third raises always
ENDLESS = "mnist_2x2"  # its first seed is stopped, and the others are not started
PLAN["items"].append({"name": ENDLESS, "seconds": 5})
PARTS = ("suite", "ours", "profile", "resnet18", "compiled")  # of `measure`; airbench's script is not here
COMMIT = "git add -A && git -c user.name=a -c user.email=a@b commit -qm"
# Inserted before every training: raises, or sleeps so that the training can be killed midway
BROKEN = """    import os as _os, time as _time
    if "fashion_preact seed-20250318" in job.label and not _os.environ.get("CONVLAB_EAGER"):
        raise RuntimeError("injected: once")
    if "mnist_cnn seed-20250319" in job.label and not _os.environ.get("CONVLAB_FP32"):
        raise RuntimeError("injected: twice")
    if "cifar10_simplecnn seed-20250320" in job.label:
        raise RuntimeError("injected: always")
    _time.sleep(1)
"""
SMALL = "PIECE, PIECES = 15 << 20, 4", "PIECE, PIECES = 4 << 20, 3"  # some weights stay there
PLACE = '    identity = {"seed": job.trial.experiment.seed, "fingerprint": job.fingerprint}\n'


@dataclass
class Simulation:
    """The folders, and what was found wrong."""

    folder: Path
    wheels: bool = False
    wrong: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.home, self.there, self.lease = (self.folder / name for name in ("home", "there", "lease"))

    def expect(self, what: str, true: bool) -> None:
        """Record whether a check holds."""
        print(f"simulate: {'ok' if true else 'FAIL'}: {what}", flush=True)
        self.wrong += [] if true else [what]

    def shell(self, command: str, folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
        """Run a command with this Python first on the path, without MLflow, and show what it says."""
        print(f"simulate: {folder.name}$ {command}", flush=True)
        environment = {
            **work_tree.environment(folder),
            "PYTHONPATH": f"{folder / 'src'}:{self.folder / 'without'}",
            "LEASE": str(self.lease),
            "LEASE_PYTHONPATH": str(self.folder / "without"),
            "OMP_NUM_THREADS": "1",
            **more,
        }
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        print("".join(f"    {line}\n" for line in done.stdout.splitlines()[-30:]), end="", flush=True)
        return done

    def call(self, command: str, *carried: str, out: str = "out") -> subprocess.CompletedProcess[str]:
        """Run a command on the machine there, after the tree and what is named have been carried to it.

        `out`: the folder in which what it leaves under $OUT comes back.
        """
        work_tree.copy(work_tree.listed(self.home), self.home, self.there)
        for name in carried:
            shutil.rmtree(self.there / name, ignore_errors=True)
            shutil.copytree(self.home / name, self.there / name)
        return self.shell(command, self.there, OUT=str(self.folder / out))

    def status(self) -> dict[str, Any]:
        """Return the daemon's status."""
        path = self.lease / "status.json"
        return json.loads(path.read_text()) if path.is_file() else {"trainings": [], "ended": False}

    def wait(self, what: str, true: Callable[[], bool], limit: float = 1800) -> None:
        """Wait for something; record a failure if it does not come."""
        until = time.monotonic() + limit
        while not true() and time.monotonic() < until:
            time.sleep(0.2)
        self.expect(what, true())

    def log(self) -> str:
        """Return the daemon's log."""
        return (self.lease / "daemon.log").read_text()

    def done(self) -> int:
        """Return how many trainings are done."""
        return sum(training["state"] == "done" for training in self.status()["trainings"])


def main() -> int:
    """Simulate; print how it ended."""
    parser = Parser(description=__doc__.split("\n")[0])
    parser.add_argument("--folder", type=Path, help="keep everything in this new folder")
    parser.add_argument("--seconds", type=seconds, default=150.0, help="of the daemon (%(default)s)")
    parser.add_argument("--wheels", action="store_true", help="carry the wheels too, for this Python")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.folder or Path(temporary)).resolve()
        simulation = Simulation(folder, options.wheels)
        simulate(simulation, options.seconds)
    for what in simulation.wrong:
        print(f"simulate: FAIL: {what}")
    print(
        f"simulate: {'ended well' if not simulation.wrong else f'{len(simulation.wrong)} things are wrong'}"
    )
    return int(bool(simulation.wrong))


def simulate(one: Simulation, limit: float) -> None:
    """Go through the lease from packing to recording."""
    set_up(one)
    last = 3600  # seconds for the last results, at most: a loaded machine is slow
    start = f"bench/gpu/lease.sh start --for {limit + last:g} --reserve {last} --workers 2"
    one.call(start, ".gpu/base", ".gpu/data-1")
    one.wait("a training is done", lambda: one.done() > 0)
    kill_worker(one)
    one.call("bench/gpu/lease.sh add-data", ".gpu/data-2")
    one.wait("further trainings are done", lambda: one.done() > 4)
    one.call("bench/gpu/lease.sh collect")
    early = one.call("bench/gpu/lease.sh measure 1")
    one.expect("nothing is measured beside trainings", early.returncode == 2)
    os.kill(daemon := one.status()["daemon"], signal.SIGKILL)
    one.wait("the daemon is killed", lambda: not command_line(daemon))
    good = next((one.home / ".gpu/data-3").glob("fashion_mnist-train*"))
    content = good.read_bytes()
    good.write_bytes(content[:1000] + bytes([content[1000] ^ 1]) + content[1001:])
    one.call(start, ".gpu/base", ".gpu/data-3")
    one.wait("a damaged file is refused by name", lambda: f"{good.name}: damaged" in one.log())
    good.write_bytes(content)
    one.call("bench/gpu/lease.sh add-data", ".gpu/data-3")
    collected = one.call(f"bench/gpu/lease.sh collect {limit + last:g}")
    one.expect("the daemon has ended", bool(one.status()["ended"]))
    one.expect("some weights stayed there", "no room for 0 files" not in collected.stdout)
    one.expect("a training that raises is tried again", "injected: once" in one.log())
    in_fp32 = "mnist_cnn seed-20250319: starts again with CONVLAB_EAGER and CONVLAB_FP32"
    one.expect("and if it raises again, in fp32", in_fp32 in one.log())
    one.expect("a killed worker's training is tried again", "died, attempt 1" in one.log())
    states = {row["label"]: row["state"] for row in one.status()["trainings"]}
    one.expect("one would not end in time", f"{ENDLESS} seed-20250318: stopped, with a" in one.log())
    rest = {label: state for label, state in states.items() if not label.startswith(ENDLESS)}
    one.expect(f"all but one training are done: {rest}", sorted(set(rest.values())) == ["done", "failed"])
    one.expect(f"nor is another like it started: {states}", list(states.values()).count("waiting") == 2)
    one.wait("the first minute's checks have ended", lambda: "checks: ended" in checks(one))
    one.expect("the ceilings", '"bf16": ' in checks(one))
    one.expect("a step of every network", "networks train" in checks(one))
    brought(one, "out")
    one.call("bench/gpu/lease.sh collect-all", out="all")
    brought(one, "all")
    measured = one.call("bench/gpu/lease.sh measure 600", out="measured")
    named = [part for part in PARTS if f"lease: {part}: " in measured.stdout]
    one.expect(f"measure goes through all of its parts: {named}", named == [*PARTS])
    one.expect("it ends well, whatever fails", not measured.returncode)
    one.expect("the parts have a log", "== suite" in (one.folder / "measured/measure.log").read_text())


def set_up(one: Simulation) -> None:
    """Make the clone at home, with tiny data, and pack."""
    work_tree.copy(work_tree.listed(Path.cwd()), Path.cwd(), one.home)
    for name in (*NOT_NEEDED, "data"):
        shutil.rmtree(one.home / name, ignore_errors=True)
    (one.home / "dvc.lock").unlink(missing_ok=True)
    (one.folder / "without").mkdir()
    (one.folder / "without/mlflow.py").write_text("raise ImportError")
    write_small_data(one.folder / "mirror", TRAIN, TEST)
    expect_small_data(one.home, one.folder / "mirror", TRAIN)
    shrink(one.home / "params.yaml")
    (one.home / "bench/gpu/plan.yaml").write_text(yaml.safe_dump(PLAN))
    for name, old, new in (
        ("src/convlab/pipeline/executors/job.py", PLACE, PLACE + BROKEN),
        ("bench/gpu/collect.py", *SMALL),
    ):
        path = one.home / name
        one.expect(f"{name} can be changed", old in path.read_text())
        path.write_text(path.read_text().replace(old, new))
    shutil.copytree(one.folder / "mirror", one.home / "data/raw")
    one.shell(f"git init -q && {COMMIT} start", one.home)
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    wheels = "" if one.wheels else " --no-wheels"
    packed = one.shell(f"python bench/gpu/pack.py --room {ROOM}{wheels}", one.home, PYTHON_VERSION=python)
    one.expect("it packs", not packed.returncode)


def shrink(path: Path) -> None:
    """Leave seconds of work in params.yaml, line by line as `set_seeds` expects it."""
    params = read_params(path)
    for experiment in params["experiments"].values():
        experiment |= {"epochs": 2, "split": {"method": "last", "validation": VALIDATION}, "threads": None}
    params["experiments"][ENDLESS] |= {"epochs": 1_000_000, "early_stopping": None}
    params["experiments"]["cifar10_resnet18"]["model"]["widths"] = [8, 8, 16, 16]
    params["experiments"]["fashion_preact"]["model"] |= {"stem": 8, "widths": [8, 8, 8]}
    params["sweeps"]["mnist_vgg_l2"] |= {"overrides": {"epochs": 2}, "grid": {"l2": [0.0, 0.001]}}
    for item in (*params["experiments"].values(), *params["sweeps"].values()):
        item.pop("seeds", None)  # with which some results are committed: here they are what ends
    params |= {"sweeps": {"mnist_vgg_l2": params["sweeps"]["mnist_vgg_l2"]}, "claims": {}, "thresholds": {}}
    params |= {"run": ["mnist_vgg"], "run_sweeps": []}
    path.write_text(yaml.safe_dump(params, sort_keys=False))
    path.with_name("studies.yaml").write_text("{}\n")  # all stands in params.yaml now


def command_line(process: int) -> bytes:
    """Return the command line of a process; that of a dead one is empty."""
    path = Path(f"/proc/{process}/cmdline")
    return path.read_bytes() if path.exists() else b""


def kill_worker(one: Simulation) -> None:
    """Kill a worker during a training."""

    def running() -> list[int]:
        rows = one.status()["trainings"]
        return [row["worker"] for row in rows if row["state"] == "running" and row["attempts"] == 1]

    one.wait("a training runs", lambda: bool(running()))
    os.kill(running()[0], signal.SIGKILL)


def checks(one: Simulation) -> str:
    """Return the log of the first minute's checks."""
    path = one.lease / "checks.log"
    return path.read_text() if path.is_file() else ""


def brought(one: Simulation, out: str) -> None:
    """Bring the results home, and check whether DVC accepts them as its own."""
    came = one.shell(f"python bench/gpu/import_results.py ../{out}", one.home)
    one.expect(f"{out} is imported", not came.returncode)
    for name, count in SEEDS.items():
        path = one.home / "metrics" / name / "trainings.json"
        found = len({record["seed"] for record in json.loads(path.read_text())}) if path.is_file() else 0
        one.expect(f"{name} has {count} seeds: {found}", found == count)
    recorded = yaml.safe_load((one.home / "dvc.lock").read_text())["stages"]
    stages = {f"train@{name}" for name in SEEDS if name != "mnist_vgg_l2"} | {"sweep@mnist_vgg_l2"}
    one.expect(f"recorded: {sorted(recorded)}", stages <= set(recorded))
    names = [name for name in SEEDS if name != "mnist_vgg_l2"]
    select(one.home / "params.yaml", names)
    one.shell(f"python stages/resolve.py && dvc commit -q -f resolve download && {COMMIT} done", one.home)
    one.shell(f"git clone -q home clone-{out}", one.folder)
    clone = one.folder / f"clone-{out}"
    status = one.shell("python stages/resolve.py && dvc repro --allow-missing --dry", clone)
    ran = [line for line in status.stdout.splitlines() if line.startswith("Running stage")]
    one.expect(f"in a clone DVC has nothing to do: {ran}", not status.returncode and not ran)


def select(path: Path, names: list[str]) -> None:
    """Select what was trained."""
    params = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({**params, "run": names, "run_sweeps": ["mnist_vgg_l2"]}, sort_keys=False))


if __name__ == "__main__":
    run(main)
