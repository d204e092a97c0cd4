"""The overhead of an executor: start-up, and seconds per trial once its workers are warm.

    python bench/pipeline/executors.py [TRIALS] [--cpu]      (24; some minutes; nothing else should run)

A sweep of the digits, two epochs each, by each executor, with one and with two at once. A trial's overhead is
what lies between the end of one and the end of the next, less the seconds that its training itself took:
reading data, building the network, scoring, writing the ledger, and whatever the executor does. In CPU
seconds, of this process and all below it, it depends less on what else the machine does: what they took
between the two ends, less a training's own, which are measured in one process. The bytes of weights and
rows are compared, too: a hash stands for them. With Ray, data of CIFAR-10's size go through its object store.
The table of docs/scale.md is written from it. `--cpu` measures only trials one after the other.
"""

import hashlib
import itertools
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import mean
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from bench.options import Parser, count
from convlab import files, markdown
from convlab.config import load_params
from convlab.data.dataset import save
from convlab.data.preprocess import prepare
from convlab.data.readers.registry import read
from convlab.data.sources import fetch
from convlab.errors import run
from convlab.pipeline.executors import EXECUTOR, job
from convlab.pipeline.executors.workers import WORKERS
from convlab.pipeline.provenance import environment, run_context
from convlab.pipeline.trainings import Trainings
from convlab.schema import Sweep, Trial
from convlab.train.device import select_device
from convlab.train.fit import fit

RESULTS, PAGE = Path("bench/results/executors.json"), Path("docs/scale.md")
WAYS = ("processes", "ray", "ray, nothing shared")
GOAL = 0.3  # seconds of overhead a trial
COPIED = 180_000_000  # bytes: CIFAR-10's prepared data


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
    started = time.time()
    with cpu_at_each_end(ledger) as cpu:
        ended = trainings.run()
    wall = time.time() - started
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
        "cpu": (cpu[len(ends) - 1] - cpu[at_once - 1]) / warm,
        "wall": wall,
        "digest": digest.hexdigest()[:16],
    }


@contextmanager
def cpu_at_each_end(ledger: Path) -> Iterator[list[float]]:
    """Yield a list that receives the CPU seconds of all processes here, whenever a trial of a sweep ends."""
    took, seen, over = list[float](), dict[psutil.Process, float](), threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            note()

    def note() -> None:
        if new := len(list(ledger.glob("*/finished.json"))) - len(took):
            this = psutil.Process()
            for process in [this, *this.children(recursive=True)]:
                with suppress(psutil.NoSuchProcess):
                    seen[process] = sum(process.cpu_times()[:2])  # user and system, its own
            took.extend([sum(seen.values())] * new)  # those that have ended count, too

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield took
    finally:
        over.set()
        thread.join()
        note()


def measure_copy(folder: Path) -> dict[str, float]:
    """Send prepared data through Ray's object store to a worker that lays them out; return the seconds.

    `put`: read, hash and store them here; `arrive`: fetch, write and hash them there; `_cpu`: in CPU seconds.
    """
    import ray

    from convlab.pipeline.executors import on_ray
    from convlab.pipeline.executors.ray_worker import _laid_out

    for name in on_ray.FILES:
        (folder / name).write_bytes(os.urandom(COPIED // len(on_ray.FILES)))

    @ray.remote
    def arrive(sent: Any, data: str, elsewhere: Path) -> tuple[float, float]:
        os.chdir(elsewhere)
        began = time.perf_counter(), time.process_time()
        _laid_out(sent, data)
        return time.perf_counter() - began[0], time.process_time() - began[1]

    (folder / "elsewhere").mkdir()
    with on_ray.cluster(1, {}):
        began = time.perf_counter(), time.process_time()
        sent, data = on_ray.stored(folder)
        put = time.perf_counter() - began[0], time.process_time() - began[1]
        laid_out = ray.get(arrive.remote(sent, data, folder / "elsewhere"))
    return dict(zip(("put", "put_cpu", "arrive", "arrive_cpu"), (*put, *laid_out), strict=True))


def cpu_seconds(sweep: Sweep, prepared: Path, ledger: Path) -> dict[str, float]:
    """Return the CPU seconds of a training's own loop, and of all else that a trial costs, in this process.

    The first trial is left out: PyTorch sets itself up in it.
    """
    os.environ |= {EXECUTOR: "processes", WORKERS: "1"}
    first, *others = (Sweep(trials=[trial]) for trial in sweep.trials)
    Trainings("digits", first, prepared, ledger).run()
    rest = Trainings("digits", Sweep(trials=[one.trials[0] for one in others]), prepared, ledger)
    with fitting() as fits:
        began = time.process_time()
        rest.run()
        took = time.process_time() - began
    return {"n": len(fits), "training": mean(fits), "overhead": (took - sum(fits)) / len(fits)}


@contextmanager
def fitting() -> Iterator[list[float]]:
    """Yield a list that receives the CPU seconds of each training's own loop in this process."""
    train, took = job.train, list[float]()

    def timed(*arguments: Any, **named: Any) -> Any:
        began = time.process_time()
        try:
            return fit(*arguments, **named)
        finally:
            took.append(time.process_time() - began)

    job.train = partial(train, fit=timed)
    try:
        yield took
    finally:
        job.train = train


def table(results: dict[str, Any]) -> str:
    """Return what was found as a Markdown table, with the hardware, the load, and what became of the goal."""
    heads = (
        "executor",
        "at once",
        "start-up, s",
        "training, s",
        "overhead per trial, s",
        "in CPU seconds",
        "bytes",
    )
    lines = [
        f"{results['device_name']}, Python {results['python']}, PyTorch {results['torch']}, commit "
        f"{results['git_commit'][:7]}, a load of {results['load']:.0f}; n = {results['trials']} trials each.",
        "",
        markdown.row(heads),
        "| --- | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    cpu = results["cpu"]
    took = {name: facts["cpu"] - cpu["training"] for name, facts in results["ways"].items()}
    for name, facts in results["ways"].items():
        way, _, at_once = name.removesuffix(" at once").rpartition(", ")
        cells = [f"{facts[key]:.2f}" for key in ("start_up", "training", "overhead")]
        cells += [f"{took[name]:.2f}", f"`{facts['digest']}`"]
        lines.append(markdown.row([way, at_once, *cells]))
    wall = {name: facts["overhead"] for name, facts in results["ways"].items()}
    lines += ["", f"The goal is {GOAL:g} s per trial, warm:", ""]
    lines += [_verdict("wall seconds", wall), _verdict("CPU seconds", took)]
    lines += [
        "",
        f"In CPU seconds, one after the other in one process: {cpu['overhead']:.2f} per trial beside "
        f"{cpu['training']:.2f} of training (n = {cpu['n']}; a load of {cpu['load']:.0f}).",
    ]
    if copy := results.get("copy"):
        lines += [
            "",
            f"{COPIED / 1e6:.0f} MB of prepared data through Ray's object store, once a node: "
            f"{copy['put_cpu']:.2f} CPU seconds ({copy['put']:.1f} s) to read, hash and store them, "
            f"{copy['arrive_cpu']:.2f} ({copy['arrive']:.1f} s) to write and hash them there.",
        ]
    return "\n".join(lines) + "\n"


def _verdict(unit: str, overheads: Mapping[str, float]) -> str:
    """Return which ways meet the goal and which miss it, as a line of a list."""
    met = [f"{name} ({seconds:.2f})" for name, seconds in overheads.items() if seconds <= GOAL]
    missed = [f"{name} ({seconds:.2f})" for name, seconds in overheads.items() if seconds > GOAL]
    return f"* {unit}: met by {'; '.join(met) or 'none'}; missed by {'; '.join(missed) or 'none'}"


def main() -> None:
    """Measure every way, or CPU seconds alone; print the table, and save it."""
    parser = Parser(description=__doc__.split("\n")[0])
    parser.add_argument("trials", metavar="TRIALS", type=count, nargs="?", default=24)
    parser.add_argument("--cpu", action="store_true", help="CPU seconds alone")
    options = parser.parse_args()
    sweep = plan(options.trials)
    results: dict[str, Any] = files.read_json(RESULTS) if options.cpu else environment(select_device("cpu"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fetch("digits", folder / "raw", mirror=None)
        for one in {trial.experiment.data_key(): trial.experiment for trial in sweep.trials}.values():
            save(prepare(read("digits", folder / "raw"), one), folder / "prepared" / one.data_key())
        if not options.cpu:
            results |= {"trials": options.trials, "threads": sweep.trials[0].experiment.threads, "ways": {}}
            for way, at_once in itertools.product(WAYS if find_spec("ray") else WAYS[:1], (1, 2)):
                ledger = folder / f"{way}-{at_once}"
                facts = measure(way, at_once, sweep, folder / "prepared", ledger)
                results["ways"][f"{way}, {at_once} at once"] = facts
            if find_spec("ray"):
                (folder / "copy").mkdir()
                results["copy"] = measure_copy(folder / "copy")
            results |= {"load": os.getloadavg()[2], "git_commit": run_context()["git_commit"]}
        cpu = cpu_seconds(sweep, folder / "prepared", folder / "cpu")
        results["cpu"] = {**cpu, "load": os.getloadavg()[2]}
    print(table(results))  # after what the trainings have printed
    files.write_json(RESULTS, results)
    markdown.rewrite(PAGE, "executors", table(results))


if __name__ == "__main__":
    run(main)
