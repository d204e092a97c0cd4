"""The tables and the figure of docs/scale.md that show how costs grow.

python bench/pipeline/growth_page.py      (from bench/results/growth.json; growth.py does it, too)
"""

import sys
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from convlab import markdown
from convlab.figures.style import PALETTE, save, styled
from convlab.files import read_json

RESULTS, PAGE = Path("bench/results/growth.json"), Path("docs/scale.md")
FIGURE = Path("docs/growth.png")
DVC_NO_OP, NO_OP = "dvc repro, no-op", "convlab repro, no-op"
TITLES = {  # how the page calls what is not simply a command
    "resolve": "`python stages/resolve.py`",
    DVC_NO_OP: "`dvc repro`, nothing to do",
    NO_OP: "`convlab repro`, nothing to do",
    "dvc repro --all-pipelines, no-op": "`dvc repro --all-pipelines`, nothing to do",
    "dvc repro evaluate@NAME, no-op": "`dvc repro evaluate@NAME`, nothing to do",
    "dvc.lock, written once": "DVC reads and writes `dvc.lock` once",
}
GOALS = {100: 2.0, 500: 10.0}  # experiments → CPU seconds of a reproduction that has nothing to do
GOAL = "goal of repro, no-op"
LINEAR = (
    0.5  # what takes no more than this share beyond the line; a quadratic cost takes several times as much
)
CONSTANT = 1.25  # times the least: within the spread of a run, where a line through two of three says nothing
DRAWN = (
    *(DVC_NO_OP, "dvc status", "dvc exp show", "convlab report", "convlab validate", "convlab list"),
    NO_OP,
)
Seconds = dict[str, dict[str, list[float]]]  # by number: `cpu` and `wall` of each run


def table(results: dict[str, Any]) -> str:
    """Return both tables, with the hardware, the versions, the spread, and what became of the goals."""
    forms = results["seconds"]
    every = [runs["cpu"] for form in forms.values() for found in form.values() for runs in found.values()]
    repeats = sorted({len(cpu) for cpu in every})
    runs = f"medians of {repeats[0]} to {repeats[-1]} runs" if repeats[1:] else f"n = {repeats[0]}"
    if repeats[-1] > 1:
        spread = max((max(cpu) - min(cpu)) / median(cpu) for cpu in every)
        runs += f", max − min at most {spread:.0%} of the median"
    lines = [
        f"{results['device_name']}, Python {results['python']}, DVC {results['dvc']}, "
        f"commit {results['git_commit'][:7]}, a load of {results['load']:.0f}; {runs}.",
    ]
    for form, found in forms.items():
        lines += ["", *_rows(form, found)] if found else []
    lines.append("")
    for name in (DVC_NO_OP, NO_OP):
        no_op = forms["experiments"].get(name, {})
        lines += [_goal(name, int(count), no_op[count]["cpu"]) for count in no_op if int(count) in GOALS]
    return "\n".join(lines) + "\n"


def _rows(form: str, found: dict[str, Seconds]) -> list[str]:
    counts = list(dict.fromkeys(count for seconds in found.values() for count in seconds))
    heads = [f"CPU seconds, by number of {form}", *(f"{int(count):,}" for count in counts)]
    heads += ["each further one, ms", "growth (against the line)"]
    lines = [markdown.row(heads), "| --- |" + " ---: |" * (len(counts) + 1) + " --- |"]
    for name, seconds in found.items():
        cells = [f"{median(seconds[count]['cpu']):.1f}" if count in seconds else "" for count in counts]
        slope, beyond = growth(seconds)
        cells += [f"{1000 * slope:.1f}", _kind(seconds, beyond)]
        lines.append(markdown.row([TITLES.get(name, f"`{name}`"), *cells]))
    return lines


def _kind(seconds: Seconds, beyond: float | None) -> str:
    """Return how a cost grows, in words; empty where there are fewer than three numbers."""
    cpu = [median(runs["cpu"]) for runs in seconds.values()]
    if beyond is None:
        return ""
    if max(cpu) < CONSTANT * min(cpu):
        return "constant"
    return f"{'linear' if beyond < LINEAR else '**not linear**'} ({beyond:+.0%})"


def _goal(name: str, count: int, cpu: list[float]) -> str:
    took, goal = median(cpu), GOALS[count]
    verdict = "met" if took < goal else "**missed**"
    return f"* {TITLES[name]}, {count} experiments: {took:.1f} s, goal {goal:g} s: {verdict}."


def growth(seconds: Seconds) -> tuple[float, float | None]:
    """Return the slope in CPU seconds for each further one, and the share by which the largest number takes
    more than the line through the smaller ones foretells; None where there are fewer than three numbers.

    Least squares of relative errors, as seconds at 500 vary more than those at 10.
    """
    counts = np.array([float(count) for count in seconds])
    cpu = np.array([median(runs["cpu"]) for runs in seconds.values()])
    slope = float(np.polyfit(counts, cpu, 1, w=1 / cpu)[0]) if len(counts) > 1 else 0.0
    if len(counts) < 3:
        return slope, None
    line = np.polyfit(counts[:-1], cpu[:-1], 1, w=1 / cpu[:-1])
    return slope, float(cpu[-1] / np.polyval(line, counts[-1]) - 1)


def figure(results: dict[str, Any]) -> Figure:
    """Draw the CPU seconds of each measured command by the number of experiments, and the goals."""
    drawing, axes = plt.subplots(figsize=(7, 3.8))
    axes.set_xscale("log")
    axes.set_yscale("log")
    found: dict[str, Seconds] = results["seconds"]["experiments"]
    colors = {name: color for name, color in zip(DRAWN, PALETTE, strict=False) if name in found}
    ends = []
    for name, color in colors.items():
        counts = [int(count) for count in found[name]]
        cpu = [median(runs["cpu"]) for runs in found[name].values()]
        axes.plot(counts, cpu, "o-", color=color, label=name, markersize=4)
        ends.append((cpu[-1], name))
    axes.plot(list(GOALS), list(GOALS.values()), "k_", markersize=14, label=GOAL)
    axes.xaxis.set_major_locator(
        FixedLocator(sorted({int(count) for name in colors for count in found[name]}))
    )
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda tick, _: f"{tick:,.0f}"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda tick, _: f"{tick:g}"))
    axes.set_xlabel("experiments selected and computed")
    axes.set_ylabel("CPU seconds")
    handles = dict(zip(axes.get_legend_handles_labels()[1], axes.get_legend_handles_labels()[0], strict=True))
    order = [name for _, name in sorted(ends, reverse=True)] + [GOAL]  # as the lines end
    drawing.legend([handles[name] for name in order], order, loc="outside right upper")
    return drawing


def write(results: dict[str, Any]) -> None:
    """Write the tables into docs/scale.md, and the figure beside it."""
    markdown.rewrite(PAGE, "growth", table(results))
    with styled():
        save(figure(results), FIGURE)


if __name__ == "__main__":
    write(read_json(RESULTS))
