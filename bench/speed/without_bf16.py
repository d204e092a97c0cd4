"""What the trainings of `make headlines` take on a processor without bf16, from the seconds of their steps.

    python bench/speed/without_bf16.py [ROUNDS]        (3; five minutes; nothing else should run)

Each recipe in bf16, in fp32, and in fp32 with kernels for AVX2, as on most laptops; a process each, in turns;
ratios are taken within a round. The seconds of a whole training are estimated: those that it took in bf16,
times the median ratio. The table of bench/README.md is written from it.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from bench.options import Parser, count
from bench.speed.suite import child, results_path
from convlab import files, markdown
from convlab.campaign.durations import format_duration
from convlab.errors import InputError, run
from convlab.headlines.contents import Headline, headlines
from convlab.pipeline.provenance import environment, run_context
from convlab.train.device import select_device, select_precision

PAGE = Path("bench/README.md")
AVX2 = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}
WAYS: dict[str, tuple[str, dict[str, str]]] = {  # contenders of the suite, and the limits of their kernels
    "bf16": ("bf16", {}),
    "fp32": ("fp32", {}),
    "fp32, AVX2": ("fp32", AVX2),
}


def measure(name: str) -> dict[str, float]:
    """Return the images per second of an experiment's training in each way."""
    found = {}
    for way, (contender, limits) in WAYS.items():
        with mock.patch.dict(os.environ, limits):
            found[way] = child("speed/one.py", name, contender)["images_per_second"]
        print(f"{name:<20} {way:<12} {found[way]:8,.1f} images/s", flush=True)
    return found


def table(results: Mapping[str, Any], found: list[Headline]) -> str:
    """Return the speeds, and what a training took in bf16 and would take without, as Markdown."""
    heads = ["recipe", *(f"images/s, {way}" for way in WAYS), "a training in bf16"]
    heads += [f"estimated in {way}" for way in list(WAYS)[1:]]
    lines = [
        f"{results['device_name']}, PyTorch {results['torch']}, commit {results['git_commit'][:7]}, a load "
        f"of {results['load']:.1f}; medians of n = {results['rounds']}.",
        "",
        markdown.row(heads),
        "| --- |" + " ---: |" * (len(heads) - 1),
    ]
    totals = dict.fromkeys(WAYS, 0.0)
    for one in found:
        rounds = results["images_per_second"][one.name]
        ratios = {way: median(row["bf16"] / row[way] for row in rounds) for way in WAYS}
        assert one.seconds is not None, "main has looked at it"
        took = {way: one.seconds * ratio for way, ratio in ratios.items()}
        totals = {way: totals[way] + len(one.ours.trainings) * seconds for way, seconds in took.items()}
        speeds = [f"{median(row[way] for row in rounds):,.0f}" for way in WAYS]
        lines.append(markdown.row([f"`{one.name}`", *speeds, *map(format_duration, took.values())]))
    texts = [f"{format_duration(seconds)} in {way}" for way, seconds in totals.items()]
    lines += ["", f"All of their trainings: {texts[0]}; estimated {' and '.join(texts[1:])}."]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure in rounds, and write the table.

    Raises:
        InputError: this processor has no bf16, or a recipe has not been trained.
    """
    parser = Parser(description=__doc__.split("\n")[0])
    parser.add_argument("rounds", metavar="ROUNDS", type=count, nargs="?", default=3)
    options = parser.parse_args()
    cpu = select_device("cpu")
    if select_precision("auto", cpu) != "bf16":
        raise InputError("this processor has no bf16, with which the others are compared")
    found = [one for one in headlines() if one.theirs]
    if missing := [one.name for one in found if one.seconds is None]:
        raise InputError(f"{missing[0]}: not trained; `make headlines NAMES={missing[0]}` trains it")
    speeds: dict[str, list[dict[str, float]]] = {one.name: [] for one in found}
    for _ in range(options.rounds):
        for name, rounds in speeds.items():
            rounds.append(measure(name))
    results = environment(cpu) | {"git_commit": run_context()["git_commit"], "rounds": options.rounds}
    results |= {"load": os.getloadavg()[2], "images_per_second": speeds}
    files.write_json(results_path("-without-bf16"), results)
    markdown.rewrite(PAGE, "without-bf16", table(results, found))


if __name__ == "__main__":
    run(main)
