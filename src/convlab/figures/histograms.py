"""Histograms of the weights and the biases of every layer; several models are laid over each other."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

BINS = 60
MANY = 1000  # values: from here on the counts need a logarithmic axis


def parameter_histograms(title: str, layers: list[str], models: dict[str, dict[str, Tensor]]) -> Figure:
    """Draw a row per layer: weights left, biases right.

    Args:
        title: of the figure.
        layers: names of convolutions and linear layers, from the input to the output.
        models: a label (an experiment's name, a λ) → its weights by parameter name; the same layers in all.
    """
    figure, grid = plt.subplots(len(layers), 2, figsize=(10, 1.5 * len(layers) + 0.8), squeeze=False)
    for row, layer in zip(grid, layers, strict=True):
        for axes, part, plural in zip(row, ("weight", "bias"), ("weights", "biases"), strict=True):
            values = {
                label: state[f"{layer}.{part}"]
                for label, state in models.items()
                if f"{layer}.{part}" in state
            }
            if values:
                count = _overlay(axes, values)
                axes.set_title(f"{layer}: {count:,} {plural}", fontsize=9, loc="left")
            else:
                axes.axis("off")
    for axes in grid[-1]:
        axes.set_xlabel("value")
    for row in grid:
        row[0].set_ylabel("count")
    if len(models) > 1:
        figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside upper right", ncols=len(models))
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
    axes.tick_params(labelsize=8)
    return count
