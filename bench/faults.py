"""The fault campaign: break `dvc repro` at random moments, run it again, compare with the undisturbed run.

    python bench/faults.py [--rounds 20] [--seed 1] [--out FILE]        half a minute to a minute a round

In a temporary clone with a small pipeline on the embedded digits. Each round starts from nothing, does one
kind of harm at a random moment, and then asks of the next `dvc repro`: does it end, with the same metrics,
curves and weights to the last byte, without a process left behind or an MLflow run that looks alive? Each
round is written down at once; the same command goes on with the rounds that are missing.
"""

import contextlib
import hashlib
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from convlab.errors import run
from convlab.files import read_json, write_json
from options import Parser, count

REPOSITORY = Path(__file__).parent.parent
RESULTS = Path("bench/results/faults.json")
MADE = (
    "data",
    "metrics",
    "plots",
    ".convlab",
    ".dvc/cache",
    ".dvc/tmp",
    "dvc.lock",
    "mlflow.db",
    "mlartifacts",
)
COMPARED = ("metrics/*/*.json", "plots/*/*.csv", "data/models/*/*", "data/predictions/*")
TIMING = "timing.json"  # differs from run to run
PATIENCE = 10.0  # seconds for processes to end
Fault = Callable[[Path, "subprocess.Popen[bytes]", random.Random], None]


def main() -> int:
    """Run the rounds that are missing, and print the table; exit status 1 if anything was lost."""
    parser = Parser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=count, default=20)
    parser.add_argument("--seed", type=count, default=1)
    parser.add_argument("--out", type=Path, default=RESULTS, help="(%(default)s)")
    options = parser.parse_args()
    rows = read_json(options.out) if options.out.exists() else []
    with tempfile.TemporaryDirectory() as folder:
        clone = make_clone(Path(folder) / "clone")
        began = time.monotonic()
        assert repro(clone).wait() == 0, "the undisturbed run failed"
        duration, wanted = time.monotonic() - began, state_of(clone)
        for number in range(len(rows) + 1, options.rounds + 1):
            rows.append(one_round(clone, number, options.seed, duration, wanted))
            write_json(options.out, rows)
            print(", ".join(f"{key} {value}" for key, value in rows[-1].items()), flush=True)
    print(table(rows))
    return 0 if all(row["recovered"] for row in rows) else 1


def make_clone(folder: Path) -> Path:
    """Clone the repository, with small settings: seconds of work in each stage."""
    subprocess.run(["git", "clone", "-q", REPOSITORY, folder], check=True)
    params = yaml.safe_load((folder / "params.yaml").read_text())
    params["experiments"]["digits"]["epochs"] = 12
    params["sweeps"]["digits_l2"] |= {"overrides": {"epochs": 3}, "grid": {"l2": [0.0, 0.001]}, "seeds": 1}
    params |= {"run": ["digits"], "run_sweeps": ["digits_l2"], "claims": {}}
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    clear(folder)
    return folder


def clear(clone: Path) -> None:
    """Remove everything that the pipeline makes."""
    for name in MADE:
        path = clone / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def repro(clone: Path) -> "subprocess.Popen[bytes]":
    """Start `dvc repro` as the leader of a process group."""
    environment = {
        **{
            key: value for key, value in os.environ.items() if not key.startswith(("DVC_", "MLFLOW_", "GIT_"))
        },
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(clone / "src"),
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    with (clone / "repro.log").open("ab") as log:
        return subprocess.Popen(
            ["dvc", "repro"], cwd=clone, env=environment, stdout=log, stderr=log, start_new_session=True
        )


def state_of(clone: Path) -> dict[str, str]:
    """Hash every result but the timings."""
    paths = sorted(path for pattern in COMPARED for path in clone.glob(pattern) if path.name != TIMING)
    return {str(path.relative_to(clone)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def one_round(clone: Path, number: int, seed: int, duration: float, wanted: dict[str, str]) -> dict[str, Any]:
    """Do harm once, run again, and compare."""
    chance = random.Random(f"{seed}/{number}")
    name, fault = list(FAULTS.items())[(number - 1) % len(FAULTS)]
    clear(clone)
    process = repro(clone)
    moment = chance.uniform(0, duration)
    with_patience(lambda: process.poll() is not None, moment)
    fault(clone, process, chance)
    process.wait()
    orphans = not with_patience(lambda: not group(process.pid), PATIENCE)
    kill(process, signal.SIGKILL)
    began = time.monotonic()
    again = repro(clone).wait()
    found = state_of(clone)
    recovered = again == 0 and found == wanted and not orphans and not alive_runs(clone)
    return {
        "round": number,
        "fault": name,
        "after": round(moment, 2),
        "status": process.returncode,
        "again": again,
        "different": len(set(wanted.items()) ^ set(found.items())),
        "orphans": orphans,
        "alive_runs": alive_runs(clone),
        "recovered": recovered,
        "seconds": round(time.monotonic() - began, 1),
    }


def with_patience(done: Callable[[], bool], seconds: float) -> bool:
    """Wait until something is done, or so many seconds; say if it is."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and not done():
        time.sleep(0.02)
    return done()


def group(leader: int) -> list[int]:
    """List the processes of a group that still run."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[3]) == leader and fields[0] != "Z":  # its session
            found.append(int(path.parent.name))
    return found


def alive_runs(clone: Path) -> int:
    """Count the MLflow runs that claim to be running; 0 where there is no database."""
    database = clone / "mlflow.db"
    if not database.exists():
        return 0
    with sqlite3.connect(database) as connection:
        return connection.execute("select count(*) from runs where status = 'RUNNING'").fetchone()[0]


# ------------------------------------------------------------------------------------------------ the faults


def kill(process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    """Send a signal to the whole group, as a terminal or a batch system does."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def group_sigkill(clone: Path, process: "subprocess.Popen[bytes]", chance: random.Random) -> None:
    """Everything dies at once: power, or the batch system."""
    kill(process, signal.SIGKILL)


def group_sigterm(clone: Path, process: "subprocess.Popen[bytes]", chance: random.Random) -> None:
    """The batch system asks for the end."""
    kill(process, signal.SIGTERM)


def group_sigint(clone: Path, process: "subprocess.Popen[bytes]", chance: random.Random) -> None:
    """Ctrl-C."""
    kill(process, signal.SIGINT)


def one_process(clone: Path, process: "subprocess.Popen[bytes]", chance: random.Random) -> None:
    """One process is killed, as by the kernel when memory is short: a stage, or a worker of a sweep."""
    others = [one for one in group(process.pid) if one != process.pid]
    if others:
        os.kill(chance.choice(others), signal.SIGKILL)


def truncated_checkpoint(clone: Path, process: "subprocess.Popen[bytes]", chance: random.Random) -> None:
    """Everything dies, and the newest files of the scratch folder lost their ends."""
    kill(process, signal.SIGKILL)
    process.wait()
    for path in (clone / ".convlab").rglob("*.safetensors"):
        os.truncate(path, chance.randrange(path.stat().st_size))


def truncated_data(clone: Path, process: "subprocess.Popen[bytes]", chance: random.Random) -> None:
    """Everything dies, and a file of the prepared data lost its end."""
    kill(process, signal.SIGKILL)
    process.wait()
    for path in sorted((clone / "data/processed").rglob("*.safetensors"))[:1]:
        path.chmod(0o644)
        os.truncate(path, chance.randrange(path.stat().st_size))


def database_deleted(clone: Path, process: "subprocess.Popen[bytes]", chance: random.Random) -> None:
    """Somebody deletes MLflow's database while everything goes on."""
    (clone / "mlflow.db").unlink(missing_ok=True)


def database_corrupt(clone: Path, process: "subprocess.Popen[bytes]", chance: random.Random) -> None:
    """MLflow's database is overwritten, and taken away before the next start."""
    (clone / "mlflow.db").write_bytes(chance.randbytes(5000))
    process.wait()
    (clone / "mlflow.db").unlink()


def database_locked(clone: Path, process: "subprocess.Popen[bytes]", chance: random.Random) -> None:
    """Another program holds MLflow's database for a while."""
    with sqlite3.connect(clone / "mlflow.db") as connection:
        connection.execute("begin exclusive")
        with_patience(lambda: process.poll() is not None, 8)
        connection.rollback()


FAULTS: dict[str, Fault] = {
    "SIGKILL, all": group_sigkill,
    "SIGTERM, all": group_sigterm,
    "SIGINT, all": group_sigint,
    "SIGKILL, one process": one_process,
    "SIGKILL, checkpoints truncated": truncated_checkpoint,
    "SIGKILL, prepared data truncated": truncated_data,
    "MLflow's database deleted": database_deleted,
    "MLflow's database corrupt": database_corrupt,
    "MLflow's database locked": database_locked,
}


def table(rows: list[dict[str, Any]]) -> str:
    """Count rounds and recoveries by fault."""
    lines = ["| fault | rounds | recovered | lost |", "| --- | ---: | ---: | ---: |"]
    for name in FAULTS:
        found = [row["recovered"] for row in rows if row["fault"] == name]
        lines.append(f"| {name} | {len(found)} | {sum(found)} | {len(found) - sum(found)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    run(main)
