"""The time of everything outside the training loop: start-up, `dvc repro` with nothing to do, and the stages.

    python bench/pipeline/around.py            (a minute or two; nothing else should run; after `dvc repro`)

Whole processes, as the user waits for them: median and range of n runs. A stage of an experiment that has not
run here is left out, and said to be.
"""

import subprocess
import sys
import time
from statistics import median

from convlab import files

RUNS = 5
PYTHON = sys.executable
IMPORTS = {
    "start of train and sweep": "import convlab.pipeline.trainings, convlab.tracking",
    "start of evaluate": "import convlab.pipeline.evaluate, convlab.tracking, convlab.pipeline.run",
    "start of visualize": "import convlab.figures.draw",
    "start of preprocess": "import convlab.data.preprocess, convlab.data.readers.registry",
    "start of `convlab --help`": "import convlab.cli",
}
STAGES = {
    "preprocess CIFAR-10": (["preprocess", "cifar10_simplecnn"],),
    "evaluate and visualize R0": (["evaluate", "mnist_vgg"], ["visualize", "mnist_vgg"]),
    "evaluate and visualize R2": (["evaluate", "cifar10_simplecnn"], ["visualize", "cifar10_simplecnn"]),
}


def seconds(*commands: list[str]) -> float:
    """Run commands one after the other and return the seconds they take together."""
    started = time.perf_counter()
    for command in commands:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def row(what: str, *commands: list[str], runs: int = RUNS) -> None:
    """Measure after one run of warm-up, and print a row."""
    seconds(*commands)
    found = [seconds(*commands) for _ in range(runs)]
    print(f"| {what} | {median(found):.2f} | {min(found):.2f}–{max(found):.2f} | {runs} |", flush=True)


def main() -> None:
    """Print the table."""
    print("| what | seconds, median | min–max | n |\n| --- | ---: | ---: | ---: |")
    for what, code in IMPORTS.items():
        row(what, [PYTHON, "-c", code])
    row("`dvc repro` with nothing to do", ["dvc", "repro"])
    for what, stages in STAGES.items():
        stage, name = stages[0]
        there = files.RAW / "cifar10" if stage == "preprocess" else files.MODELS / name
        if there.is_dir():
            row(what, *([PYTHON, f"stages/{stage}.py", name] for stage, name in stages), runs=3)
        else:
            print(f"| {what} | not run: {there} is not here | | |")


if __name__ == "__main__":
    main()
