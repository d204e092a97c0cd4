"""Grids of test images with the network's predictions."""

import math
from dataclasses import dataclass
from functools import cached_property

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from convlab.data.dataset import Split
from convlab.figures.style import RIGHT, WRONG, fit, wrap

COLUMNS = 10
CELL = 1.2  # inches per image and the title above it
LINE = 17  # characters of a title's line at its full size


@dataclass(frozen=True)
class Predictions:
    """Predictions for the test images: probabilities float32 [N, classes], true labels int64 [N]."""

    probabilities: Tensor
    labels: Tensor
    classes: list[str]

    @cached_property
    def predicted(self) -> Tensor:
        """The most probable class of each image, int64 [N]."""
        return self.probabilities.argmax(1)

    def correct(self) -> Tensor:
        """The indices of correctly classified images, in the data set's order."""
        return (self.predicted == self.labels).nonzero().flatten()

    def wrong_by_confidence(self) -> Tensor:
        """The indices of wrongly classified images, the most confident first."""
        wrong = (self.predicted != self.labels).nonzero().flatten()
        confidence = self.probabilities[wrong].amax(1)
        return wrong[confidence.argsort(descending=True, stable=True)]

    def caption(self, index: int) -> str:
        """Return the true class and, where it differs, the predicted one, with its probability."""
        truth, guess = self.classes[int(self.labels[index])], self.classes[int(self.predicted[index])]
        probability = f"{float(self.probabilities[index].max()):.0%}"
        return f"{truth} ({probability})" if truth == guess else f"{truth} → {guess} ({probability})"

    def heading(self, index: int) -> str:
        """Return the caption in short lines, the predicted class below the true one and the arrow."""
        return wrap(self.caption(index).replace(" → ", "\u00a0→\n"), LINE)


def show_image(axes: Axes, image: Tensor) -> None:
    """Show an image [C, H, W] of any range, grey or in colour, from its darkest value to its brightest."""
    pixels = image.float()
    low, high = pixels.min(), pixels.max()
    pixels = (pixels - low) / (high - low).clamp(min=1e-7)
    axes.imshow(pixels.permute(1, 2, 0).numpy(), cmap="gray", interpolation="nearest")


def sample_grid(title: str, split: Split, predictions: Predictions, indices: Tensor) -> Figure:
    """Draw the images at `indices`, each with its caption; green is right, orange is wrong."""
    rows = math.ceil(len(indices) / COLUMNS)
    headings = [predictions.heading(index) for index in indices.tolist()]
    lines = max(heading.count("\n") + 1 for heading in headings)
    size = (CELL * COLUMNS, (CELL + 0.13 * lines) * rows + 0.5)
    figure, grid = plt.subplots(rows, COLUMNS, figsize=size, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for axes, index, heading in zip(grid.flat, indices.tolist(), headings, strict=False):
        show_image(axes, split.images[index])
        right = predictions.predicted[index] == predictions.labels[index]
        axes.set_title(heading, fontsize=8, color=RIGHT if right else WRONG, pad=3)
        fit(axes.title, 0.96 * CELL)
    figure.suptitle(f"{title} · true class → predicted class (probability)", fontsize=11)
    return figure
