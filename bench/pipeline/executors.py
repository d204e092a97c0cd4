"""The overhead of an executor: start-up, and seconds per trial once its workers are warm.

    python bench/pipeline/executors.py [TRIALS]      (default: 24; some minutes; nothing else should run)

A sweep of the digits, two epochs each, by each executor, with one and with two at once. A trial's overhead is
what lies between the end of one and the end of the next, less the seconds that its training itself took:
reading data, building the network, scoring, writing the ledger, and whatever the executor does. The bytes of
weights and rows are compared, too: a hash stands for them.
"""

import hashlib
import os
import resource
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from statistics import mean

from convlab import files
from convlab.config import load_params
from convlab.data.dataset import save
from convlab.data.preprocess import prepare
from convlab.data.readers import read
from convlab.data.sources import fetch
from convlab.pipeline.executors import EXECUTOR
from convlab.pipeline.executors.workers import WORKERS
from convlab.pipeline.provenance import environment
from convlab.pipeline.trainings import Trainings
from convlab.schema import Sweep, Trial
from convlab.train.device import select_device

RESULTS = Path(__file__).parents[1] / "results/executors.json"
WAYS = ("processes", "ray", "ray, nothing shared")


def plan(trials: int) -> Sweep:
    """Return a sweep over the seeds of the digits' experiment, two epochs each, on one thread."""
    base = load_params().experiments["digits"]
    changes = {"epochs": 2, "threads": 1, "early_stopping": None, "device": "cpu", "portable": False}
    found = [base.model_copy(update={**changes, "seed": seed}) for seed in range(1, trials + 1)]
    return Sweep(trials=[Trial(name=f"seed-{one.seed}", overrides={}, experiment=one) for one in found])


def measure(way: str, at_once: int, sweep: Sweep, prepared: Path, ledger: Path) -> dict[str, object]:
    """Run a sweep in one way; return its start-up, its seconds per trial, and a hash of the results."""
    os.environ |= {EXECUTOR: way.partition(",")[0], WORKERS: str(at_once)}
    if way == "ray, nothing shared":
        from convlab.pipeline.executors import on_ray

        on_ray._marked = lambda folder: folder / "elsewhere"
    trainings = Trainings("digits", sweep, prepared, ledger)
    started, before = time.time(), resource.getrusage(resource.RUSAGE_SELF)
    ended = trainings.run()
    wall, after = time.time() - started, resource.getrusage(resource.RUSAGE_SELF)
    seconds = [finished.timing["seconds"] for _, finished in ended]
    ends = sorted(path.stat().st_mtime for path in ledger.glob("*/finished.json"))
    warm = len(ends) - at_once
    digest = hashlib.sha256(
        repr([(trial.name, finished.status, finished.results) for trial, finished in ended]).encode()
    )
    for _, finished in ended:
        digest.update(finished.weights.read_bytes() if finished.weights else b"")
    return {
        "start_up": ends[0] - started - mean(seconds),
        "training": mean(seconds),
        "overhead": at_once * (ends[-1] - ends[at_once - 1]) / warm - mean(seconds),
        "wall": wall,
        "cpu_here": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "digest": digest.hexdigest()[:16],
    }


def main() -> None:
    """Measure every way, print a table, and save it."""
    sweep = plan(int(sys.argv[1]) if len(sys.argv) > 1 else 24)
    experiment = sweep.trials[0].experiment
    found: dict[str, dict[str, object]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fetch("digits", folder / "raw", mirror=None)
        for one in {trial.experiment.data_key(): trial.experiment for trial in sweep.trials}.values():
            save(prepare(read("digits", folder / "raw"), one), folder / "prepared" / one.data_key())
        lines = ["", "| executor | at once | start-up, s | training, s | overhead a trial, s | bytes |"]
        lines.append("| --- | ---: | ---: | ---: | ---: | --- |")
        for way in WAYS if find_spec("ray") else WAYS[:1]:
            for at_once in (1, 2):
                ledger = folder / f"{way}-{at_once}"
                facts = measure(way, at_once, sweep, folder / "prepared", ledger)
                found[f"{way}, {at_once} at once"] = facts
                numbers = " | ".join(f"{facts[key]:.2f}" for key in ("start_up", "training", "overhead"))
                lines.append(f"| {way} | {at_once} | {numbers} | `{facts['digest']}` |")
    print("\n".join(lines))  # after what the trainings have printed
    trials = {"trials": len(sweep.trials), "threads": experiment.threads, "load": os.getloadavg()[2]}
    files.write_json(RESULTS, {**environment(select_device("cpu")), **trials, "ways": found})


if __name__ == "__main__":
    main()
