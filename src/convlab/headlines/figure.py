"""The figure of the headlines: accuracy against the seconds of a training, the reports' and ours."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator

from convlab.campaign.durations import format_duration
from convlab.figures.style import PALETTE
from convlab.headlines.contents import Headline, accuracy_text, hardware_of

PATH = Path("docs/headlines.png")
TICKS = (10, 30, 60, 180, 600, 1800, 7200, 36_000)  # seconds
ACCURACIES = (0.7, 0.8, 0.85, 0.9, 0.95, 0.98, 0.99, 0.995, 0.997, 0.998)
OURS, THEIRS = "o", "X"
KEYS: dict[str, tuple[str, Any]] = {  # marker and line of the legend's black entries, below that of ours
    "a report's": (THEIRS, ""),
    "a report's, without a time": ("", ":"),
}
ABOVE, BELOW = (9, -2), (9, -8)  # points from a mark to its label: ours, and a report's, which may be near
NEAR = 1.04  # ratio of the errors of lines that share a label


def figure(found: Sequence[Headline]) -> Figure:
    """Draw each training's error and seconds on logarithmic axes; a line for a report without a time."""
    drawing, axes = plt.subplots(figsize=(8, 3.6))
    axes.set_xscale("log")
    axes.set_yscale("log")
    handles = [
        Line2D([], [], color="black", marker=marker, linestyle=line, label=label)
        for label, (marker, line) in {_ours(found): (OURS, ""), **KEYS}.items()
    ]
    errors, seconds = [], [float(TICKS[1]), float(TICKS[4])]
    untimed: list[tuple[float, str]] = []
    colors = dict(zip(dict.fromkeys(one.data for one in found), PALETTE, strict=False))
    handles += [
        Line2D([], [], color=color, marker="s", linestyle="", label=data) for data, color in colors.items()
    ]
    for one in found:
        color = colors[one.data]
        for theirs in one.theirs:
            errors.append(1 - theirs.accuracy)
            if theirs.seconds is None:
                axes.axhline(errors[-1], color=color, linestyle=":", linewidth=1)
                untimed.append((errors[-1], theirs.report))
            else:
                seconds.append(theirs.seconds)
                axes.plot(theirs.seconds, errors[-1], THEIRS, color=color, markersize=8)
                point = (theirs.seconds, errors[-1])
                axes.annotate(theirs.report, point, BELOW, textcoords="offset points")
        if one.accuracy is not None and one.seconds is not None:
            errors.append(1 - one.accuracy)
            seconds.append(one.seconds)
            axes.plot(one.seconds, errors[-1], OURS, color=color, markersize=8)
            text = accuracy_text(one.accuracy)
            axes.annotate(text, (one.seconds, errors[-1]), ABOVE, textcoords="offset points")
    for error, reports in _labels(untimed):
        at: dict[str, Any] = {"textcoords": "offset points", "va": "center", "fontsize": "small"}
        axes.annotate(reports, (1, error), (4, 0), axes.get_yaxis_transform(), **at)
    if errors:
        axes.set_ylim(max(errors) * 1.3, min(errors) / 1.3)  # the best on top
    axes.set_xlim(min(seconds) / 1.5, max(seconds) * 2)
    axes.xaxis.set_major_locator(FixedLocator(TICKS))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda tick, _: format_duration(tick)))
    axes.yaxis.set_major_locator(FixedLocator([1 - accuracy for accuracy in ACCURACIES]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda tick, _: f"{100 * (1 - tick):g}%"))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_locator(NullLocator())
        axis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("time of a training")
    axes.set_ylabel("accuracy")
    drawing.legend(handles=handles, loc="outside right upper")
    return drawing


def _ours(found: Sequence[Headline]) -> str:
    """Return the legend's entry of ours, with all the hardware that they were trained on."""
    return "\n".join(["ours:", *hardware]) if (hardware := hardware_of(found)) else "ours"


def _labels(lines: Sequence[tuple[float, str]]) -> list[tuple[float, str]]:
    """Return the errors at which lines are named, with the names; two lines that nearly touch share one."""
    found: list[tuple[float, str]] = []
    for error, report in sorted(lines):
        if found and error / found[-1][0] < NEAR:
            found[-1] = (found[-1][0], f"{found[-1][1]}, {report}")
        else:
            found.append((error, report))
    return found
