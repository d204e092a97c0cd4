"""The fault campaign: break `dvc repro` at random moments, run it again, compare with the undisturbed run.

    python robustness/faults.py [--rounds 208] [--seed 1] [--out FILE]      a quarter of a minute a round

In a temporary copy with a small pipeline on the embedded digits. In each round one stage has not run, or now
and then none has; one kind of fault is injected at a random moment, and then the next `dvc repro` has to
complete, with the same files to the last byte, without a process left behind or an MLflow run still marked as
running. Each round is saved at once; the same command resumes with the missing ones. At its end the table of
robustness/README.md is written.
"""

import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from bench.options import Parser, count
from convlab import markdown
from convlab.errors import run
from convlab.files import read_json, write_json
from convlab.pipeline.provenance import environment, run_context
from robustness.fault_clone import (
    SERVER_DATABASE,
    Clone,
    Process,
    end,
    hangs,
    own_disk,
    session,
    with_patience,
)
from robustness.fault_kinds import KINDS, SERVER_GONE, Scene, tracking_server
from robustness.fault_table import fault_table

RESULTS, PAGE = Path("robustness/results/faults.json"), Path("robustness/README.md")
WHOLE = 0.04  # the share of rounds that start from nothing: they take five times as long
PATIENCE = 60.0  # seconds for processes to end


@dataclass(frozen=True)
class Wanted:
    """What the undisturbed run left: its results, MLflow's runs, and the seconds of each stage."""

    state: dict[str, str]
    runs: list[tuple[str, str]]
    seconds: dict[str, float]


def main() -> int:
    """Run the rounds that are missing, and write the table; exit status 1 if anything was lost."""
    parser = Parser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=count, default=208)
    parser.add_argument("--seed", type=count, default=1)
    parser.add_argument("--out", type=Path, default=RESULTS, help="(%(default)s)")
    options = parser.parse_args()
    results = read_json(options.out) if options.out.exists() else {"seed": options.seed, "rounds": []}
    results |= environment(torch.device("cpu"))
    results |= {package: version(package) for package in ("dvc", "mlflow")}
    done = {row["round"] for row in results["rounds"]}
    missing = [number for number in range(1, options.rounds + 1) if number not in done]
    with tempfile.TemporaryDirectory() as folder, own_disk(Path(folder) / "clone") as mounts:
        clone = Clone(Path(folder) / "clone")
        wanted = undisturbed(clone) if missing else None
        for number in missing:
            assert wanted
            row = one_round(clone, wanted, number, results["seed"], mounts)
            results["rounds"] = sorted([*results["rounds"], row], key=lambda row: row["round"])
            write_json(options.out, results)
            print(", ".join(f"{key} {value}" for key, value in row.items()), flush=True)
    table = fault_table(results)
    print(table)
    if options.out == RESULTS:
        markdown.rewrite(PAGE, "faults", table)
    return 0 if all(row["recovered"] is not False for row in results["rounds"]) else 1


def undisturbed(clone: Clone) -> Wanted:
    """Run the pipeline undisturbed."""
    seconds = clone.undisturbed()
    return Wanted(clone.state(), clone.runs(), seconds)


def one_round(clone: Clone, wanted: Wanted, number: int, seed: int, mounts: bool) -> dict[str, Any]:
    """Draw what a round does from its number, and do it."""
    chance = random.Random(f"{seed}/{number}")
    name, kind = list(KINDS.items())[(number - 1) % len(KINDS)]
    stages = [one for one in wanted.seconds if not kind.stages or one.split("@")[0] in kind.stages]
    stage = None if chance.random() < WHOLE else chance.choice(stages)
    longest = wanted.seconds[stage] if stage else sum(wanted.seconds.values())
    about = {
        "round": number,
        "commit": (run_context()["git_commit"] or "")[:12],
        "fault": name,
        "stage": stage,
    }
    if kind.mounts and not mounts:
        return about | {"recovered": None}
    return about | inject_once(clone, wanted, name, stage, chance.uniform(0, longest), chance)


def inject_once(
    clone: Clone, wanted: Wanted, name: str, stage: str | None, moment: float, chance: random.Random
) -> dict[str, Any]:
    """Inject a fault once, run again, and compare. `stage`: the one that has not run; None: none has."""
    kind = KINDS[name]
    clone.restore(stage)
    with maybe_server(clone, name == SERVER_GONE) as (server, address):
        began = time.monotonic()
        with repro(clone, address) as process:
            with_patience(lambda: process.poll() is not None, moment)
            with kind.fault(Scene(clone, process, chance, server)) as hit:
                trouble = waited(process)
        hit = hit and not (kind.by_status and process.returncode == 0)
        broken, began = time.monotonic() - began, time.monotonic()
        with repro(clone, address) as again:
            trouble = trouble or waited(again)
    seconds = time.monotonic() - began
    found = {
        "trouble": trouble,
        "again": again.returncode,
        "different": len({path for path, _ in set(wanted.state.items()) ^ set(clone.state().items())}),
        "runs": runs_wrong(clone, wanted, server is not None, kind.tracking),
    }
    return {
        "after": round(moment, 2),
        "hit": hit,
        "status": process.returncode,
        **found,
        "recovered": not any(found.values()),
        "seconds": [round(broken, 1), round(seconds, 1)],
    }


@contextmanager
def repro(clone: Clone, address: dict[str, str]) -> Iterator[Process]:
    """Run `dvc repro` and kill what is left of it, so that it does not disturb the next round."""
    process = clone.repro(**address)
    try:
        yield process
    finally:
        end(process)


def waited(process: Process) -> str:
    """Wait until a process has ended; says what is wrong if it never does, or leaves others behind."""
    if hangs(process):
        return "hangs"
    return "" if with_patience(lambda: not session(process.pid), PATIENCE) else "orphans"


@contextmanager
def maybe_server(clone: Clone, wanted: bool) -> Iterator[tuple[Process | None, dict[str, str]]]:
    """Start an MLflow server if wanted; yield it, and the setting that points to it."""
    if not wanted:
        yield None, {}
        return
    with tracking_server(clone) as (server, uri):
        yield server, {"MLFLOW_TRACKING_URI": uri}


def runs_wrong(clone: Clone, wanted: Wanted, server: bool, tracking: bool) -> str:
    """Say what is wrong with MLflow's runs; nothing if all is well.

    None may be marked as running or be duplicated; and after a fault in MLflow itself, `convlab track` has to
    bring every run back, once.
    """
    database = SERVER_DATABASE if server else "mlflow.db"
    try:
        found = clone.runs(database)
    except sqlite3.DatabaseError:
        found = []
        (clone.folder / database).unlink()  # what the README says to do with a corrupt one
    names = [name for name, _ in found]
    if any(status == "RUNNING" for _, status in found):
        return "alive"
    if len(set(names)) < len(names):
        return "twice"
    if not tracking:
        return ""
    with maybe_server(clone, server) as (_, address):
        tracked = clone.start("convlab", "track", **address)
        if hangs(tracked):
            end(tracked)
            return "track hangs"
    return "" if tracked.returncode == 0 and clone.runs(database) == wanted.runs else "not tracked"


if __name__ == "__main__":
    run(main)
