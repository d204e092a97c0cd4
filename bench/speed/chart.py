"""The figure of the suite: how many times as fast as the plain PyTorch loop, network by network."""

from statistics import median

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from convlab.figures.style import PALETTE

HEIGHT = 0.36  # inches a bar
GAP = 0.8  # between networks, in bars


def ratio_chart(rows: dict[str, dict[str, list[float]]], conditions: str) -> Figure:
    """Draw a bar for the median ratio of each contender, from the smallest to the largest as its error bar.

    Args:
        rows: network → contender → ratios to the plain loop, one per round.
        conditions: on what they were measured, for the foot of the figure.
    """
    contenders = list(dict.fromkeys(contender for found in rows.values() for contender in found))
    colours = dict(zip(contenders, PALETTE, strict=False))
    bars = sum(map(len, rows.values())) + GAP * len(rows)
    figure, axes = plt.subplots(figsize=(8, HEIGHT * bars + 1.6))
    middles, place = [], 0.0
    for found in rows.values():
        middles.append(place + (len(found) - 1) / 2)
        for contender, numbers in found.items():
            _bar(axes, place, numbers, colours[contender])
            place += 1
        place += GAP
    axes.axvline(1, color="#555555", linewidth=1)
    axes.set_yticks(middles, [name.replace(", ", "\n") for name in rows])
    axes.tick_params("y", length=0)
    axes.grid(visible=False, axis="y")
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_xlim(left=0)
    axes.set_xlabel("training speed, as a multiple of the plain PyTorch loop's")
    handles = [plt.Rectangle((0, 0), 1, 1, color=colours[contender]) for contender in contenders]
    figure.legend(handles, contenders, loc="outside upper center", ncols=len(contenders))
    figure.supxlabel(conditions.replace("; ", ";\n", 1), fontsize=8, color="#555555")
    return figure


def _bar(axes: plt.Axes, place: float, numbers: list[float], colour: str) -> None:
    middle, low, high = median(numbers), min(numbers), max(numbers)
    axes.barh(place, middle, height=0.8, color=colour)
    axes.errorbar(
        middle, place, xerr=[[middle - low], [high - middle]], color="black", capsize=3, linewidth=1
    )
    axes.annotate(f"{middle:.2f} ×", (high, place), (6, 0), textcoords="offset points", va="center")
