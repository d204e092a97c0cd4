"""Pairs of a wrong and a right sample: their feature maps side by side, and their distances over depth."""

from typing import Any

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor, nn

from convlab.figures.features import activations, spread
from convlab.figures.pairs import Pairs, Ratios
from convlab.figures.samples import Predictions, show_image
from convlab.figures.style import MAP, PALETTE, RIGHT, WRONG, fit

WIDTH = 11  # inches
SHOWN = 3  # pairs
DEPTHS = 3  # the first, the middle and the last convolution
MAPS = 2  # of each depth
KINDS = {  # as in pairs.KINDS → how they are called and drawn
    "taken_for": ("wrong image, right one of the class it was taken for", WRONG, "o-"),
    "own_class": ("wrong image, right one of its own class", RIGHT, "o-"),
    "two_right": ("two right images of the class it was taken for", PALETTE[0], "--"),
}


def pair_maps(
    name: str, model: nn.Module, inputs: Tensor, predictions: Predictions, pairs: Pairs, ratios: Ratios
) -> Figure:
    """Draw the most confident wrong samples above their right ones: images, maps, and ratios over depth."""
    count = min(SHOWN, len(pairs.wrong))
    columns = 1 + DEPTHS * MAPS
    figure = plt.figure(figsize=(WIDTH, 2 * count + 0.9))
    widths = [1.9] + [1] * (columns + 2)  # a caption such as `automobile → truck` is wide
    first = 0.92 * WIDTH * widths[0] / sum(widths)
    grid = figure.add_gridspec(2 * count, columns + 3, width_ratios=widths)
    top = max(1.05, *(1.05 * float(values[:, :count].max()) for values in ratios.kinds.values()))
    for pair in range(count):
        rows = range(2 * pair, 2 * pair + 2)
        cells = [[figure.add_subplot(grid[row, column]) for column in range(columns)] for row in rows]
        two = torch.stack([pairs.wrong[pair], pairs.taken[pair]])
        for position, row, color in zip(two.tolist(), cells, (WRONG, RIGHT), strict=True):
            show_image(row[0], inputs[position])
            row[0].set_title(predictions.caption(position), fontsize=8, color=color, pad=3)
            fit(row[0].title, first)
        _layers(cells, activations(model, inputs[two]))
        plot = figure.add_subplot(grid[2 * pair : 2 * pair + 2, columns:])
        _lines(plot, {kind: values[:, pair] for kind, values in ratios.kinds.items()})
        plot.set_ylim(0, top)
        if pair == 0:
            plot.set_title("distance (1: strangers of the two classes)", fontsize=8)
            figure.legend(*plot.get_legend_handles_labels(), loc="outside lower right", ncols=2)
    plot.set_xlabel("convolution (0: the pixels)", fontsize=8)
    figure.suptitle(
        f"{name}: wrong images, each above the right image of the class it was taken for\n"
        "the most confident mistakes, each with the nearest right image in pixels; of each layer the "
        f"{MAPS} maps of the largest spread, in one scale for both",
        fontsize=10,
    )
    return figure


def pair_curve(name: str, summary: dict[str, Any]) -> Figure:
    """Draw the median ratio of all pairs at every layer, with its quartiles, from `pair_distances`."""
    layers = summary["layers"]
    figure, axes = plt.subplots(figsize=(9, 5))
    curves = {}
    for kind, (_, color, _) in KINDS.items():
        low, middle, high = (
            torch.tensor([row[kind][part] for row in layers.values()])
            for part in ("first_quartile", "median", "third_quartile")
        )
        axes.fill_between(range(len(layers)), low, high, color=color, alpha=0.15, linewidth=0)
        curves[kind] = middle
    _lines(axes, curves)
    axes.set_ylim(bottom=0)
    axes.set_xticks(range(len(layers)), list(layers), rotation=30, ha="right", rotation_mode="anchor")
    axes.set(ylabel="distance ÷ median distance between\nright images of the two classes")
    axes.legend(loc="lower left")
    some = f"{summary['pairs']:,} of {summary['wrong_samples']:,}, the most confident"
    every = f"all {summary['pairs']:,}"
    figure.suptitle(
        f"{name}: how far wrong images are from right ones, layer by layer\n"
        f"median and quartiles over {every if summary['pairs'] == summary['wrong_samples'] else some}; "
        "nearest in pixels",
        fontsize=11,
    )
    return figure


def _layers(cells: list[list[Axes]], layers: dict[str, Tensor]) -> None:
    """Show the maps [2, C, H, W] of a few layers: those of the largest spread, in one scale for both."""
    for axes in (axes for row in cells for axes in row):
        axes.axis("off")
    for number, layer in enumerate(spread(list(layers), DEPTHS)):
        maps = layers[layer]
        height, width = maps.shape[2:]
        order = maps.transpose(0, 1).flatten(1).std(1).argsort(descending=True, stable=True)
        for image, row, heading in zip(maps, cells, (layer, f"{height}×{width}"), strict=True):
            columns = row[1 + number * MAPS :][:MAPS]
            columns[0].set_title(heading, fontsize=8, loc="left", pad=3)
            for axes, channel in zip(columns, order.tolist(), strict=False):
                scale = Normalize(float(maps[:, channel].min()), float(maps[:, channel].max()))
                axes.imshow(image[channel].numpy(), cmap=MAP, norm=scale, interpolation="nearest")


def _lines(axes: Axes, curves: dict[str, Tensor]) -> None:
    for kind, values in curves.items():
        label, color, line = KINDS[kind]
        axes.plot(values, line, color=color, label=label, markersize=4)
    axes.axhline(1, color="#888888", linestyle=":", label="right images of the two classes: the median")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.tick_params(labelsize=8)
