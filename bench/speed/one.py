"""Measure one contender on one network, in this process; prints one line of JSON.

python bench/speed/one.py NETWORK CONTENDER [--seconds 3] [--device cuda]        in the repository's root
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from bench.options import Parser, seconds
from bench.speed.cases import CONTENDERS, experiment_of, random_data, trainer
from convlab.errors import InputError, run

WARM_UP_STEPS, WARM_UP_SECONDS = 2, 1.0  # warm-up, at least: first steps build buffers, kernels and graphs
STEPS = 4  # at least, of a network whose step takes seconds
SECONDS = 3.0


class Enough(Exception):
    """There are enough steps for a measurement."""


class Clock:
    """Notes when each step ends; ends the training after the warm-up and `seconds` more.

    `wait` is called where a time counts: on a GPU it waits for the steps that were only asked for until then.
    """

    def __init__(self, seconds: float, wait: Callable[[], None] | None = None):
        self.seconds, self.wait = seconds, wait
        self.times: list[float] = []
        self.warm: int | None = None  # the last step of the warm-up

    def tick(self) -> None:
        """Record that a step has ended.

        Raises:
            Enough: it was the last one.
        """
        now, step = time.perf_counter(), len(self.times)
        self.times.append(now)
        if self.warm is None:
            if step + 1 >= WARM_UP_STEPS and now - self.times[0] >= min(WARM_UP_SECONDS, self.seconds):
                self.warm = step
                self._settle()
        elif step - self.warm >= STEPS and now - self.times[self.warm] >= self.seconds:
            self._settle()
            raise Enough

    def _settle(self) -> None:
        if self.wait:
            self.wait()
            self.times[-1] = time.perf_counter()

    def step_seconds(self) -> list[float]:
        """Return the seconds of each step after the warm-up; on a GPU the mean for all of them."""
        if self.wait and self.warm is not None:
            steps = len(self.times) - 1 - self.warm
            return [(self.times[-1] - self.times[self.warm]) / steps] * steps
        return [end - begin for begin, end in pairwise(self.times[self.warm :])]


def main() -> None:
    """Parse the command line, measure, print."""
    parser = Parser(description=__doc__.split("\n")[0])
    parser.add_argument("network", help="an experiment of params.yaml")
    parser.add_argument("contender", choices=CONTENDERS)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--seconds", type=seconds, default=SECONDS, help="of measuring, after the warm-up")
    options = parser.parse_args()
    print(json.dumps(measure(options.network, options.contender, options.seconds, options.device)))


def measure(network: str, contender: str, seconds: float, device: str = "cpu") -> dict[str, Any]:
    """Train until the duration of a step is known.

    Returns:
        images per second by the median step; that step's seconds; the number of steps; the seconds of
        imports, building and the first step; the peak memory in MiB, images included: of this process, or
        what it had of a GPU's.

    Raises:
        InputError: the training ended before.
    """
    experiment = experiment_of(network, device)
    data = random_data(experiment)
    clock = Clock(seconds, gpu().synchronize if device == "cuda" else None)
    began = time.perf_counter()
    with suppress(Enough):
        trainer(contender)(experiment, data, clock.tick)
        raise InputError(f"{network}: the training ended before there was anything to measure")
    steps = clock.step_seconds()
    return {
        "images_per_second": experiment.batch_size / median(steps),
        "step_seconds": median(steps),
        "steps": len(steps),
        "start_up_seconds": clock.times[0] - began,
        "peak_memory_mib": peak_memory_mib() if device == "cpu" else gpu().max_memory_allocated() / 2**20,
    }


def gpu() -> Any:
    """Import PyTorch's GPU interface; Keras' process must not carry torch."""
    from torch import cuda

    return cuda


def peak_memory_mib() -> float:
    """Return the peak memory of this process."""
    try:  # Linux counts into ru_maxrss what the parent process held when it forked
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
    except (OSError, StopIteration):
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


if __name__ == "__main__":
    run(main)
