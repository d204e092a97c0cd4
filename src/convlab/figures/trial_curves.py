"""Learning curves of a sweep's trials: in one pair of panels, or with several seeds a pair for each trial."""

from itertools import cycle
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from convlab.figures.curves import by_seed, finish, markers, whole_numbers
from convlab.figures.style import PALETTE, fit, wrap

COLORS = PALETTE[:7]  # the eighth is too pale for a line
LINES = ("-", "--", ":", "-.")  # with seven colours, 28 trials are distinguishable
ABREAST = 5  # panels in a row
WIDTH = 12  # inches
LINE = 30  # characters of a panel's title
CHARACTERS = 150  # of a legend's row, all its names together
SPLITS = {"train": "training", "validation": "validation"}  # a split of the curves → in a title

Rows = list[dict[str, Any]]


def trial_curves(title: str, rows: Rows, split: str = "validation") -> Figure:
    """Draw the loss and the accuracy of every trial on a split: the mean of its seeds, their range as a band.

    Those of `train` are the means over each epoch's steps, as training loops print them.

    Where seeds stopped at different epochs, the curves end with the first of them. Bands of several trials
    would hide each other, so there each trial has panels of its own, with the others' means in grey.
    """
    trials = {trial: by_seed([row for row in rows if row["trial"] == trial]) for trial in _names(rows)}
    most = max(map(len, trials.values()))
    if most > 1:
        title += f" · mean and range of {most} seeds"
    draw = _apart if most > 1 and len(trials) > 1 else _together
    return draw(title, trials, rows, split)


def _together(title: str, trials: dict[str, list[Rows]], rows: Rows, split: str) -> Figure:
    columns = max(1, min(3, CHARACTERS // (8 + max(map(len, trials)))))
    height = 3.7 + 0.2 * -(-len(trials) // columns)
    figure, (loss, accuracy) = plt.subplots(1, 2, figsize=(WIDTH, height))
    styles = cycle((color, line) for line in LINES for color in COLORS)
    for (trial, seeds), (color, line) in zip(trials.items(), styles, strict=False):
        for axes, quantity in ((loss, f"{split}_loss"), (accuracy, f"{split}_accuracy")):
            _curve(axes, seeds, quantity, color=color, linestyle=line, label=trial)
    finish(loss, accuracy, rows, split)
    loss.set_title(f"{SPLITS[split]} loss (cross-entropy)")
    accuracy.set_title(f"{SPLITS[split]} accuracy")
    figure.legend(*loss.get_legend_handles_labels(), loc="outside lower center", ncols=columns)
    figure.suptitle(title)
    return figure


def _apart(title: str, trials: dict[str, list[Rows]], rows: Rows, split: str) -> Figure:
    across = min(ABREAST, len(trials))
    bands = -(-len(trials) // across)
    size = (WIDTH, 4.2 * bands + 0.5)
    figure, grid = plt.subplots(2 * bands, across, figsize=size, squeeze=False)
    pairs = [
        (grid[2 * band, column], grid[2 * band + 1, column])
        for band in range(bands)
        for column in range(across)
    ]
    for (trial, seeds), (loss, accuracy), color in zip(trials.items(), pairs, cycle(COLORS), strict=False):
        for axes, quantity in ((loss, f"{split}_loss"), (accuracy, f"{split}_accuracy")):
            for other in trials:
                if other != trial:
                    _curve(axes, trials[other], quantity, False, color="#BBBBBB", linewidth=0.8, marker="")
            _curve(axes, seeds, quantity, color=color, label=trial)
        finish(loss, accuracy, rows, split)
        for axes in (loss, accuracy):
            whole_numbers(axes, [row["epoch"] for row in rows], 5)
        loss.set(title=wrap(trial, LINE), xlabel="")
        loss.title.set_fontsize(9)
        fit(loss.title, 0.8 * WIDTH / across)
        accuracy.set_title("")
    labels = f"{SPLITS[split]} loss\n(cross-entropy)", f"{SPLITS[split]} accuracy"
    for place, label in enumerate(labels):
        _share([pair[place] for pair in pairs[: len(trials)]], across, label)
    for spare in pairs[len(trials) :]:
        for axes in spare:
            axes.axis("off")
    figure.suptitle(f"{title}; grey: the means of the other trials")
    return figure


def _curve(axes: Axes, seeds: list[Rows], quantity: str, band: bool = True, **look: Any) -> None:
    epochs = [row["epoch"] for row in min(seeds, key=len)]
    values = np.array([[row[quantity] for row in own[: len(epochs)]] for own in seeds])
    axes.plot(epochs, values.mean(0), **(markers(len(epochs)) | look))
    if band and len(seeds) > 1:
        low, high = values.min(0), values.max(0)
        if len(epochs) == 1:  # a band of one epoch has no width
            axes.vlines(epochs, low, high, color=look["color"], alpha=0.4, linewidth=6)
        else:
            axes.fill_between(epochs, low, high, color=look["color"], alpha=0.25, linewidth=0)


def _share(panels: list[Axes], across: int, label: str) -> None:
    """Set the widest limits of any panel on all of them; label the axis of the first in each row."""
    lows, highs = zip(*(axes.get_ylim() for axes in panels), strict=True)
    for number, axes in enumerate(panels):
        axes.set_ylim(min(lows), max(highs))
        if number % across:
            axes.tick_params(axis="y", which="both", labelleft=False)
        else:
            axes.set_ylabel(label)


def _names(rows: Rows) -> list[str]:
    return list(dict.fromkeys(row["trial"] for row in rows))
