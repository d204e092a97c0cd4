"""Histograms of the weights and the biases of every layer; several models are laid over each other."""

import math

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

BINS = 60
TALL = 10  # layers: more go four panels abreast
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
    size = (10 if columns == 2 else 12, (1.5 if columns == 2 else 1.25) * rows + 0.8)
    figure, grid = plt.subplots(rows, columns, figsize=size, squeeze=False)
    for axes, (layer, part) in zip(grid.flat, panels, strict=False):
        values = {label: state[f"{layer}.{part}"] for label, state in models.items()}
        count = _overlay(axes, values)
        axes.set_title(f"{layer}: {count:,} {PARTS[part]}", fontsize=9, loc="left")
    for axes in list(grid.flat)[len(panels) :]:
        axes.axis("off")
    for axes in grid[-1]:
        axes.set_xlabel("value")
    for row in grid:
        row[0].set_ylabel("count")
    if len(models) > 1:
        handles = grid[0, 0].get_legend_handles_labels()
        figure.legend(*handles, loc="outside upper right", ncols=len(models))
    figure.suptitle(f"{title}: weights and biases", x=0.01, ha="left")
    return figure


def _overlay(axes: Axes, values: dict[str, Tensor]) -> int:
    arrays = {label: tensor.float().flatten().numpy() for label, tensor in values.items()}
    count = next(iter(arrays.values())).size
    edges = np.histogram_bin_edges(np.concatenate(list(arrays.values())), min(BINS, max(8, count // 4)))
    for label, array in arrays.items():
        counts, _ = np.histogram(array, edges)
        axes.stairs(counts, edges, fill=len(arrays) == 1, label=label, linewidth=1.2)
    if count >= MANY:
        axes.set_yscale(
            "symlog", linthresh=1
        )  # the few large weights are the story; a linear axis hides them
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.tick_params(labelsize=8)
    return count
