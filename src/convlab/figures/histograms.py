"""Histograms of the weights and the biases of every layer.

For several models, large layers are drawn as overlaid outlines; small ones, whose counts scatter, get a strip
for each model.
"""

import math
from itertools import cycle
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from torch import Tensor

from convlab.figures.style import PALETTE

COLORS = PALETTE[:7]  # the eighth is too pale for a line
BINS = 60
STRIP_BINS = 30  # of a strip: it is low, so wide bins read better
TALL = 10  # layers: more are drawn with four panels in a row
PARTS = {"weight": "weights", "bias": "biases"}
MANY = 1000  # values: from here on the counts need a logarithmic axis


def parameter_histograms(title: str, layers: list[str], models: dict[str, dict[str, Tensor]]) -> Figure:
    """Draw a panel for the weights of each layer, and beside it one for its biases, if it has any.

    Args:
        title: of the figure.
        layers: names of convolutions and linear layers, from the input to the output.
        models: a label (an experiment's name, a λ) → its weights by parameter name; the same layers in all.
    """
    states = list(models.values())
    panels = [(layer, part) for layer in layers for part in PARTS if f"{layer}.{part}" in states[0]]
    columns = 2 if len(layers) <= TALL else 4
    rows = math.ceil(len(panels) / columns)
    row = max(1.5 if columns == 2 else 1.25, 0.2 * len(models) + 0.6)
    size = (10 if columns == 2 else 12, row * rows + 0.8)
    figure, grid = plt.subplots(rows, columns, figsize=size, squeeze=False)
    for axes, (layer, part) in zip(grid.flat, panels, strict=False):
        values = {label: state[f"{layer}.{part}"] for label, state in models.items()}
        axes.set_title(f"{layer}: {_draw(axes, values, PARTS[part])}", fontsize=9, loc="left")
    for axes in list(grid.flat)[len(panels) :]:
        axes.axis("off")
    for axes in grid[-1]:
        axes.set_xlabel("value")
    if len(models) > 1:
        patches = [Patch(color=color, label=label) for label, color in zip(models, cycle(COLORS))]
        figure.legend(handles=patches, loc="outside lower center", ncols=min(6, len(models)))
    figure.suptitle(f"{title}: weights and biases", x=0.01, ha="left")
    return figure


def _draw(axes: Axes, values: dict[str, Tensor], noun: str) -> str:
    """Draw a layer's values of each model; return how many they are, and of strips how to read them."""
    arrays = {label: tensor.float().flatten().numpy() for label, tensor in values.items()}
    count = next(iter(arrays.values())).size
    strips = len(arrays) > 1 and count < MANY
    bins = min(STRIP_BINS if strips else BINS, max(8, count // 4))
    edges = np.histogram_bin_edges(np.concatenate(list(arrays.values())), bins)
    counts = {label: np.histogram(array, edges)[0] for label, array in arrays.items()}
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.tick_params(labelsize=8)
    if strips:
        _strips(axes, counts, edges)
        return f"{count:,} {noun}, each strip in its own scale"
    for (label, column), color in zip(counts.items(), cycle(COLORS)):
        axes.stairs(column, edges, fill=len(arrays) == 1, color=color, label=label, linewidth=1.2)
    axes.set_ylabel("count", fontsize=8)
    if count >= MANY:  # the few large weights matter; a linear axis hides them
        axes.set_yscale("symlog", linthresh=1)
    return f"{count:,} {noun}"


def _strips(axes: Axes, counts: dict[str, NDArray[Any]], edges: NDArray[Any]) -> None:
    """Draw the histograms one below the other, each to its own height: a peak would flatten the others."""
    for number, (column, color) in enumerate(zip(counts.values(), cycle(COLORS))):
        base = len(counts) - 1 - number
        axes.stairs(base + 0.9 * column / max(1, column.max()), edges, baseline=base, fill=True, color=color)
    axes.set_yticks(range(len(counts) - 1, -1, -1), list(counts), fontsize=7)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(0, len(counts))
