"""The gain of running a sweep's trials in parallel: R0's nine and its five, both ways, alternating.

    python bench/pipeline/sweeps.py            (about four minutes on two cores; nothing else should run)

One after the other with all cores each, against as many at once as there are cores with a thread each; an
epoch of random images each, with start-up of processes and the scores on all splits. Both are the real
`Trainings`, as the sweep stage runs them.
"""

import contextlib
import io
import os
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np

from convlab.config import load_params
from convlab.data.dataset import save
from convlab.data.preprocess import prepare
from convlab.data.readers.raw import Raw
from convlab.pipeline.executors.workers import WORKERS
from convlab.pipeline.trainings import Trainings
from convlab.schema import Sweep, Trial
from convlab.train.device import ALL_THREADS

ROUNDS, IMAGES, HELD_OUT = 3, 3840, 640
SWEEPS = ("mnist_vgg_l2", "mnist_vgg_stride_kernel")
MODES = {"one after the other": (1, None), f"{ALL_THREADS} at once": (ALL_THREADS, 1)}


def random_images() -> Raw:
    """Make a data set of MNIST's shape: the time does not depend on what is in it."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (IMAGES + HELD_OUT, 1, 28, 28), np.uint8)
    labels = random.integers(0, 10, IMAGES + HELD_OUT)
    return Raw(images, labels, images[:HELD_OUT], labels[:HELD_OUT])


def shortened(sweep: Sweep, threads: int | None) -> Sweep:
    """Return the sweep with one epoch of the random images, and `threads` threads per training."""
    changes = {"epochs": 1, "threads": threads}
    trials = []
    for trial in sweep.trials:
        split = trial.experiment.split.model_copy(update={"validation": HELD_OUT})
        experiment = trial.experiment.model_copy(update={**changes, "split": split})
        trials.append(Trial(name=trial.name, overrides=trial.overrides, experiment=experiment))
    return Sweep(trials=trials)


def measure(name: str, sweep: Sweep, workers: int, threads: int | None, folder: Path) -> float:
    """Run a whole sweep and return its seconds."""
    plan = shortened(sweep, threads)
    experiment = plan.trials[0].experiment
    prepared = folder / "processed" / experiment.data_key()
    if not prepared.exists():
        save(prepare(random_images(), experiment), prepared)
    os.environ[WORKERS] = str(workers)
    trainings = Trainings(name, plan, prepared.parent, folder / "ledger")
    started = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        trainings.run()
    seconds = time.perf_counter() - started
    trainings.clear()
    return seconds


def main() -> None:
    """Measure both in turn, and print a row each."""
    params = load_params()
    found: dict[tuple[str, str], list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(ROUNDS):
            for name in SWEEPS:
                for mode, (workers, threads) in MODES.items():
                    seconds = measure(name, params.sweeps[name], workers, threads, Path(folder))
                    found.setdefault((name, mode), []).append(seconds)
    print("| sweep | trials | trainings | seconds, median | min–max | ratio |")
    print("| --- | ---: | --- | ---: | ---: | ---: |")
    for (name, mode), took in found.items():
        serial = found[name, next(iter(MODES))]
        ratio = median(one / other for one, other in zip(serial, took, strict=True))
        print(
            f"| `{name}` | {len(params.sweeps[name].trials)} | {mode} | {median(took):.1f} "
            f"| {min(took):.1f}–{max(took):.1f} | {ratio:.2f} |"
        )


if __name__ == "__main__":
    main()
