"""The confusion matrix: which class is taken for which."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from sklearn.metrics import confusion_matrix

from convlab.figures.samples import Guesses


def confusion(name: str, guesses: Guesses) -> Figure:
    """Draw counts of test images by true and predicted class; the colours are of the errors alone.

    A good network's diagonal would drown them: 7 errors beside 1,000 hits are one shade.
    """
    counts = confusion_matrix(guesses.labels, guesses.predicted, labels=range(len(guesses.classes)))
    errors = counts.astype(float)
    np.fill_diagonal(errors, np.nan)
    figure, axes = plt.subplots(figsize=(7, 6))
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
    ticks = range(len(guesses.classes))
    axes.set_xticks(ticks, guesses.classes, rotation=0 if max(map(len, guesses.classes)) == 1 else 45)
    axes.set_yticks(ticks, guesses.classes)
    accuracy = np.trace(counts) / counts.sum()
    axes.set(xlabel="predicted class", ylabel="true class")
    axes.set_title(
        f"{name}: {counts.sum() - np.trace(counts)} errors on {counts.sum():,} test images ({accuracy:.2%})"
    )
    axes.grid(False)
    figure.colorbar(image, ax=axes, label="test images (errors)", shrink=0.8, ticks=MaxNLocator(integer=True))
    return figure
