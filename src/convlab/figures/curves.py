"""Learning curves: of one experiment, and of a sweep's trials in one figure."""

from itertools import cycle
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from convlab.figures.style import PALETTE, TRAIN, VALIDATION

LINES = ("-", "--", ":")  # with eight colours, 24 trials can be told apart


def learning_curves(title: str, rows: list[dict[str, Any]]) -> Figure:
    """Draw loss, accuracy and learning rate over the epochs; a dotted line marks the epoch that was kept."""
    figure, (loss, accuracy, rate) = plt.subplots(1, 3, figsize=(12, 3.6), width_ratios=(3, 3, 2))
    epochs = [row["epoch"] for row in rows]
    for axes, quantity in ((loss, "loss"), (accuracy, "accuracy")):
        axes.plot(epochs, [row[f"train_{quantity}"] for row in rows], color=TRAIN, label="training")
        axes.plot(
            epochs, [row[f"validation_{quantity}"] for row in rows], color=VALIDATION, label="validation"
        )
    rate.step(epochs, [row["lr"] for row in rows], where="mid", color=PALETTE[6])
    rate.set(title="learning rate", xlabel="epoch", yscale="log")
    rate.xaxis.set_major_locator(MaxNLocator(integer=True))
    best = min(rows, key=lambda row: row["validation_loss"])["epoch"]
    for axes in (loss, accuracy):
        axes.axvline(best, color="#888888", linestyle=":", label=f"kept: epoch {best:.0f}")
    _finish(loss, accuracy, rows)
    accuracy.legend(loc="lower right")
    figure.suptitle(title)
    return figure


def trial_curves(title: str, rows: list[dict[str, Any]]) -> Figure:
    """Draw the validation loss and accuracy of every trial."""
    figure, (loss, accuracy) = plt.subplots(1, 2, figsize=(12, 4.2))
    styles = cycle((color, line) for line in LINES for color in PALETTE[:7])
    for trial in dict.fromkeys(row["trial"] for row in rows):
        color, line = next(styles)
        own = [row for row in rows if row["trial"] == trial]
        epochs = [row["epoch"] for row in own]
        for axes, quantity in ((loss, "validation_loss"), (accuracy, "validation_accuracy")):
            axes.plot(
                epochs,
                [row[quantity] for row in own],
                line,
                color=color,
                label=trial,
                marker="o",
                markersize=3,
            )
    _finish(loss, accuracy, rows)
    loss.set_title("validation loss (cross-entropy)")
    accuracy.set_title("validation accuracy")
    figure.legend(*loss.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    figure.suptitle(title)
    return figure


def _finish(loss: Axes, accuracy: Axes, rows: list[dict[str, Any]]) -> None:
    loss.set(title="loss (cross-entropy)", xlabel="epoch", yscale="log")
    accuracy.set(title="accuracy", xlabel="epoch")
    accuracy.yaxis.set_major_formatter(PercentFormatter(1.0))
    # The end of the training is what is compared: the first epochs, far below it, may leave the frame.
    last = {row.get("trial"): row["validation_accuracy"] for row in rows}
    worst = min(last.values())
    bottom = max(accuracy.get_ylim()[0], worst - 4 * (1.01 - worst))
    accuracy.set_ylim(bottom, 1 + (1 - bottom) / 40)
    for axes in (loss, accuracy):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
