"""Learning curves of a sweep's trials by iteration, as R1 shows those of its L2 study."""

from itertools import cycle
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter, StrMethodFormatter

from convlab.figures.curves import SMOOTH, markers, whole_numbers
from convlab.figures.style import count_of
from convlab.figures.trial_curves import CHARACTERS, COLORS, LINES, WIDTH

POINTS = 2000  # of a line: more cannot be seen


def trial_iterations(title: str, rows: list[dict[str, Any]]) -> Figure:
    """Draw the training loss and accuracy of every trial over its steps, as running means.

    `rows`: of iterations.csv, with `trial`, `iteration`, `loss` (cross-entropy, in nats) and `accuracy`.
    """
    trials: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        trials.setdefault(row["trial"], []).append(row)
    window = max(1, min(SMOOTH, min(map(len, trials.values())) // 5))
    columns = max(1, min(3, CHARACTERS // (8 + max(map(len, trials)))))
    size = (WIDTH, 3.9 + 0.2 * -(-len(trials) // columns))
    figure, panels = plt.subplots(1, 2, figsize=size)
    styles = cycle((color, line) for line in LINES for color in COLORS)
    for (trial, own), (color, line) in zip(trials.items(), styles, strict=False):
        steps = np.array([row["iteration"] for row in own])[window // 2 :]
        for axes, quantity in zip(panels, ("loss", "accuracy"), strict=True):
            values = np.array([row[quantity] for row in own])
            means = np.convolve(values, np.full(window, 1 / window), "valid")
            every = max(1, len(means) // POINTS)
            x, y = steps[: len(means) : every], means[::every]
            look = markers(len(y)) | {"linewidth": 1}
            axes.plot(x, y, color=color, linestyle=line, label=trial, **look)
    loss, accuracy = panels
    loss.set(title="training loss (cross-entropy)", yscale="log")
    accuracy.set(title="training accuracy")
    accuracy.yaxis.set_major_formatter(PercentFormatter(1.0))
    for axes in panels:
        axes.set_xlabel("iteration")
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        whole_numbers(axes, [row["iteration"] for row in rows], 6)
    figure.legend(*loss.get_legend_handles_labels(), loc="outside lower center", ncols=columns)
    means_of = f"means of {window} batches" if window > 1 else "each batch"
    counts = sorted({sum(row["epoch"] == 1 for row in own) for own in trials.values()})
    per_epoch = count_of(counts[-1], "iteration is", "iterations are")
    if len(counts) > 1:  # the trials differ in their batch size
        per_epoch = f"{counts[0]:,} to {per_epoch}"
    figure.suptitle(f"{title}: the training by iteration, {means_of} ({per_epoch} an epoch) · first seed")
    return figure
