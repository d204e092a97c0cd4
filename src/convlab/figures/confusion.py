"""The confusion matrix: which class is taken for which."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from convlab.figures.samples import Predictions

CELL = 0.4  # inches at least that a class takes: the room of `1,000`, with the axes' labels


def confusion(name: str, predictions: Predictions) -> Figure:
    """Draw counts of test images, the true class across and the predicted one down, as on DVC's page.

    Only the errors are coloured. A good network's diagonal would drown them: beside 1,000 hits, 7 errors and
    none have the same shade.
    """
    classes = predictions.classes
    cells = predictions.predicted * len(classes) + predictions.labels
    # By torch, which is loaded anyway: scikit-learn's import takes as long as a few figures
    counts = torch.bincount(cells, minlength=len(classes) ** 2).view(len(classes), -1).numpy()
    errors = counts.astype(float)
    np.fill_diagonal(errors, np.nan)
    longest = max(map(len, classes))
    beside = 0.07 * max(0, longest - 10)  # inches for the names, or the matrix would shrink
    side = max(6, CELL * len(classes))
    figure, axes = plt.subplots(figsize=(side + 1 + beside, side + 0.7 * beside))
    largest = max(np.nanmax(errors), 1)
    image = axes.imshow(errors, cmap="Oranges", vmin=0, vmax=largest)
    for (row, column), count in np.ndenumerate(counts):
        if count:
            dark = row != column and count > 0.6 * largest
            axes.text(
                column,
                row,
                f"{count:,}",
                ha="center",
                va="center",
                fontsize=9,
                color="white" if dark else "black",
            )
    slanted: dict[str, Any] = (
        {} if longest == 1 else {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
    )
    axes.set_xticks(range(len(classes)), classes, **slanted)
    axes.set_yticks(range(len(classes)), classes)
    accuracy = np.trace(counts) / counts.sum()
    axes.set(xlabel="true class", ylabel="predicted class")
    wrong = counts.sum() - np.trace(counts)
    axes.set_title(
        f"{name}: {wrong:,} errors on {counts.sum():,} test images ({accuracy:.2%})",
        fontsize=10,
    )
    axes.grid(False)
    figure.colorbar(image, ax=axes, label="test images (errors)", shrink=0.8, ticks=MaxNLocator(integer=True))
    return figure
