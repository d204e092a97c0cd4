"""A user's pictures: what the network saw, what it predicts, and where the evidence lies."""

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn

from convlab.data.dataset import Statistics
from convlab.data.pictures import open_picture
from convlab.figures.gradcam import HEAT, gradcam
from convlab.figures.prediction import Prediction
from convlab.figures.samples import show_image
from convlab.figures.style import PALETTE, fit

CELL = 1.9  # inches per picture
BARS = 5  # classes whose probabilities are drawn
THUMBNAIL = 400  # pixels: more are lost at this size


def explained(
    title: str, model: nn.Sequential, statistics: Statistics, predictions: list[Prediction]
) -> Figure:
    """Draw for each picture: itself, what the network saw, Grad-CAM for the top two classes, the top five."""
    figure, grid = plt.subplots(
        len(predictions),
        5,
        figsize=(5.9 * CELL, (CELL + 0.3) * len(predictions) + 0.6),
        width_ratios=[1, 1, 1, 1, 1.5],
        squeeze=False,
    )
    seen = torch.from_numpy(np.stack([prediction.pixels for prediction in predictions]))
    with torch.no_grad():
        inputs = statistics.transform()(seen)
    best = torch.stack([one.probabilities for one in predictions]).topk(2).indices
    heats = [gradcam(model, inputs, best[:, place]) for place in (0, 1)]
    for position, (row, prediction) in enumerate(zip(grid, predictions, strict=True)):
        picture = open_picture(prediction.path)
        picture.thumbnail((THUMBNAIL, THUMBNAIL))
        row[0].imshow(picture, cmap="gray", vmin=0, vmax=255)
        _title(row[0], prediction.path.name)
        show_image(row[1], seen[position])
        for axes in row[:2]:
            _bare(axes)
        if prediction.blank:
            _title(row[1], "nothing stands out in it")
            for axes in row[2:]:
                axes.set_axis_off()
            continue
        _title(row[1], "as the network sees it" + (", inverted" if prediction.inverted else ""))
        for axes, heat, (name, share) in zip(row[2:4], heats, prediction.best, strict=False):
            show_image(axes, inputs[position])
            _overlay(axes, heat[position], seen.shape[2:])
            _title(axes, f"for {name} ({share:.1%})")
            _bare(axes)
        _bars(row[4], prediction)
    figure.suptitle(f"{title} · Grad-CAM: where the last maps speak for a class (bright)", fontsize=10)
    return figure


def _bare(axes: Axes) -> None:
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.grid(False)


def _overlay(axes: Axes, heat: Tensor, size: torch.Size) -> None:
    smooth = F.interpolate(heat[None, None], size, mode="bilinear", align_corners=False)[0, 0]
    axes.imshow(smooth.numpy(), cmap=HEAT, vmin=0, vmax=1, alpha=0.6, interpolation="nearest")


def _bars(axes: Axes, prediction: Prediction) -> None:
    names, shares = zip(*prediction.best[:BARS], strict=True)
    axes.barh(range(len(names)), shares, color=[PALETTE[0], *[PALETTE[5]] * (len(names) - 1)], height=0.65)
    for place, share in enumerate(shares):
        inside = share > 0.75  # of the bar, at its end
        where, side, colour = (share - 0.03, "right", "white") if inside else (share + 0.03, "left", "black")
        axes.text(where, place, f"{share:.1%}", va="center", ha=side, color=colour, fontsize=8)
    axes.set(xlim=(0, 1), xticks=[], ylim=(len(names) - 0.4, -0.6))
    axes.set_yticks(range(len(names)), names, fontsize=8, parse_math=False)
    axes.tick_params(axis="y", length=0)
    axes.spines["bottom"].set_visible(False)
    axes.grid(False)


def _title(axes: Axes, text: str) -> None:
    axes.set_title(text, fontsize=9, pad=3, parse_math=False)  # names of files may contain $
    fit(axes.title, 0.98 * CELL)
