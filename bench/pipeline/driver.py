"""How many workers one driver of a Ray cluster can serve: a simulation, for no such cluster was at hand.

    python bench/pipeline/driver.py          (some minutes; needs Ray)

The driver's own code (`executors/on_ray.py`) runs, with a stand-in for `ray` whose clock moves only while the
driver waits, and by what each of Ray's calls costs. These costs are measured first, on a real cluster of one
worker: CPU seconds of the driver's process, all threads. The table of docs/scale.md is written from it.
"""

import heapq
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any, cast
from unittest import mock

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from bench.options import Parser
from bench.pipeline.executors import PAGE, plan
from convlab import files, markdown
from convlab.errors import run
from convlab.interrupt import Request
from convlab.pipeline.executors.job import Job
from convlab.pipeline.ledger import Ledger
from convlab.pipeline.provenance import environment, run_context
from convlab.schema import Trial
from convlab.train.device import select_device

RESULTS = Path("bench/results/driver.json")
WORKERS, SECONDS, TRIALS = (100, 400, 1600), (1, 60), 10_000
OVERHEAD = 0.3  # seconds of a trial beside its training
REPLY = 0.003  # seconds until a poll is answered
MEASURED, REPEATS = 400, 9  # calls at a time, as for so many workers
Costs = Mapping[str, float]


def measure() -> dict[str, float]:
    """Return the CPU seconds of each of the driver's calls; `wait_each`: of each answer waited for."""
    import ray

    from convlab.pipeline.executors import on_ray

    class Idle:
        def poll(self, *given: object) -> tuple[list[object], dict[str, bytes]]:
            return [], {}

    def took(what: Callable[[], object]) -> float:
        began = time.process_time()
        what()
        return time.process_time() - began

    job = Job("digits", plan(1).trials[0], Path("data"), "", "", scored=True)
    found: dict[str, list[float]] = {}
    with on_ray.cluster(1, {}):
        worker = ray.remote(max_concurrency=2)(Idle).remote()

        def call(*given: object) -> list[Any]:
            answers = [worker.poll.remote(*given) for _ in range(MEASURED)]
            ray.wait(answers, num_returns=MEASURED)
            return answers

        def wait(answers: list[Any]) -> object:
            return ray.wait(answers, num_returns=len(answers), timeout=0)

        def get(answers: list[Any]) -> object:
            return [ray.get(answer) for answer in answers]

        for _ in range(REPEATS + 1):
            answers = call(False)
            one, all_of_them = took(partial(wait, answers[:1])), took(partial(wait, answers))
            seconds = {
                "poll": took(partial(call, False)) / MEASURED,
                "run": took(partial(call, job, Path("ledger"), 1, None, "", {})) / MEASURED,
                "get": took(partial(get, answers)) / MEASURED,
                "wait": one,
                "wait_each": (all_of_them - one) / (MEASURED - 1),
            }
            for name, value in seconds.items():
                found.setdefault(name, []).append(value)
    return {name: median(values[1:]) for name, values in found.items()}  # the first warms it up


class Answer:
    """What a worker will have answered at some time: a value, or an exception."""

    def __init__(self, at: float, value: Any):
        self.at, self.value = at, value


class Cluster:
    """What the driver sees as `ray`: its workers train for the seconds that are given for a job's key."""

    def __init__(self, costs: Costs, seconds: Mapping[str, float]):
        self.costs, self.seconds = costs, seconds
        self.now = self.busy = 0.0
        self.calls = Counter[str]()

    def get_runtime_context(self) -> Any:
        """Return where the head is: nowhere."""
        return SimpleNamespace(gcs_address="")

    def remote(self, **options: object) -> Callable[[type], Any]:
        """Return what makes of the workers' class an actor's."""
        return lambda worker: SimpleNamespace(remote=self.start)

    def start(self, threads: int) -> Any:
        """Return a worker, which has started at once."""
        node = SimpleNamespace(torch=torch.__version__, shared=True)
        return SimpleNamespace(
            where=SimpleNamespace(remote=lambda *given: Answer(self.now, node)),
            run=SimpleNamespace(remote=lambda job, *given: self._answer("run", self.seconds[job.key])),
            poll=SimpleNamespace(remote=lambda wanted: self._answer("poll", REPLY)),
        )

    def wait(
        self, answers: Sequence[Answer], num_returns: int = 1, timeout: float = 0.0
    ) -> tuple[list[Answer], list[Answer]]:
        """Return up to so many of the answers, as soon as so many are there or the time is over."""
        self._spend("wait", len(answers))
        enough = heapq.nsmallest(num_returns, (answer.at for answer in answers))[-1]
        self.now = max(self.now, min(enough, self.now + timeout))
        return [answer for answer in answers if answer.at <= self.now][:num_returns], []

    def get(self, answer: Answer) -> Any:
        """Return the value of an answer, or raise it, when it is there."""
        self._spend("get")
        self.now = max(self.now, answer.at)
        if isinstance(answer.value, Exception):
            raise answer.value
        return answer.value

    def kill(self, worker: object) -> None:
        """End a worker."""

    def _answer(self, call: str, seconds: float) -> Answer:
        self._spend(call)
        return Answer(self.now + seconds, ([], {}))

    def _spend(self, call: str, answers: int = 0) -> None:
        self.calls[call] += 1
        cost = self.costs[call] + answers * self.costs["wait_each"]
        self.now, self.busy = self.now + cost, self.busy + cost


def drive(cluster: Cluster, workers: int) -> None:
    """Let the driver's own code run a job for each of the cluster's seconds on so many workers."""
    from convlab.pipeline.executors import on_ray

    jobs = [Job(key, cast(Trial, None), Path("data"), "", key, scored=True) for key in cluster.seconds]
    stand_ins: dict[str, Any] = {
        "ray": cluster,
        "monotonic": lambda: cluster.now,
        "check_reachable": lambda address: None,
    }
    with tempfile.TemporaryDirectory() as folder, mock.patch.multiple(on_ray, **stand_ins):
        on_ray._Pool(jobs, Ledger(Path(folder)), {}, workers).work(Request())


def simulate(costs: Costs, workers: int, seconds: float, trials: int) -> dict[str, float]:
    """Return how long trials of about so many seconds take, and would with a driver that takes no time."""
    draw = random.Random(1)
    each = {str(number): OVERHEAD + seconds * draw.uniform(0.9, 1.1) for number in range(trials)}
    ends = [0.0] * workers
    for took in each.values():
        heapq.heapreplace(ends, ends[0] + took)
    cluster = Cluster(costs, each)
    drive(cluster, workers)
    return {
        "workers": workers,
        "training": seconds,
        "least": max(ends),
        "seconds": cluster.now,
        "busy": cluster.busy / cluster.now,
        "poll_every": workers * cluster.now / cluster.calls["poll"],
        "waits": cluster.calls["wait"],
    }


def table(results: dict[str, Any]) -> str:
    """Return what was measured and simulated as Markdown."""
    cost = {name: f"{1e3 * value:.2g}" for name, value in results["costs"].items()}
    heads = ("workers", "a training, s", "least possible, s", "simulated, s", "driver busy", "polls, s apart")
    lines = [
        f"{results['device_name']}, Python {results['python']}, Ray {results['ray']}, commit "
        f"{results['git_commit'][:7]}. CPU milliseconds of "
        f"the driver: {cost['poll']} to poll a worker, {cost['run']} to hand out a trial, {cost['get']} to "
        f"take an answer, {cost['wait']} to wait, and {cost['wait_each']} for each answer waited for. "
        f"{results['trials']:,} trials:",
        "",
        markdown.row(heads),
        "| ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for one in results["simulated"]:
        cells = [f"{one['workers']}", f"{one['training']}", f"{one['least']:,.1f}", f"{one['seconds']:,.1f}"]
        lines.append(markdown.row([*cells, f"{one['busy']:.0%}", f"{one['poll_every']:.2f}"]))
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, simulate, and write the table."""
    Parser(description=__doc__.split("\n")[0]).parse_args()
    import ray

    costs = measure()
    found = [simulate(costs, workers, seconds, TRIALS) for seconds in SECONDS for workers in WORKERS]
    results = environment(select_device("cpu")) | {
        "ray": ray.__version__,
        "trials": TRIALS,
        "load": os.getloadavg()[2],
        "git_commit": run_context()["git_commit"],
    }
    results |= {"costs": costs, "simulated": found}
    print(table(results))
    files.write_json(RESULTS, results)
    markdown.rewrite(PAGE, "driver", table(results))


if __name__ == "__main__":
    run(main)
