"""Learning curves: of one experiment by epoch and by iteration, and of a sweep's trials in one figure."""

from itertools import cycle
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter, StrMethodFormatter

from convlab.figures.style import PALETTE, TRAIN, VALIDATION, WRONG

LINES = ("-", "--", ":")  # with eight colours, 24 trials can be told apart
SMOOTH = 100  # batches: what a curve of single ones is read by


def learning_curves(title: str, rows: list[dict[str, Any]], keep: str, monitor: str) -> Figure:
    """Draw loss, accuracy and learning rate over the epochs; a dotted line marks the epoch that was kept.

    Of several seeds the first is drawn in full, the others faintly. `keep` and `monitor` are the
    experiment's rule.
    """
    figure, (loss, accuracy, rate) = plt.subplots(1, 3, figsize=(12, 3.6), width_ratios=(3, 3, 2))
    first, *others = _by_seed(rows)
    for own in (*others, first):
        epochs = [row["epoch"] for row in own]
        faint = {"alpha": 0.3, "linewidth": 1} if own is not first else {}
        for axes, quantity in ((loss, "loss"), (accuracy, "accuracy")):
            for split, color in (("train", TRAIN), ("validation", VALIDATION)):
                label = {"train": "training"}.get(split, split) if own is first else None
                axes.plot(
                    epochs, [row[f"{split}_{quantity}"] for row in own], color=color, label=label, **faint
                )
        rate.step(epochs, [row["lr"] for row in own], where="mid", color=PALETTE[6], **faint)
    rate.set(title="learning rate", xlabel="epoch", yscale="log")
    rate.xaxis.set_major_locator(MaxNLocator(integer=True))
    kept = _kept(first, keep, monitor)
    for axes in (loss, accuracy):
        axes.axvline(kept, color="#888888", linestyle=":", label=f"kept: epoch {kept:.0f}")
    _finish(loss, accuracy, rows)
    accuracy.legend(loc="lower right")
    seeds = f" · seed {first[0]['seed']:.0f}; faint: {len(others)} more" if others else ""
    figure.suptitle(title + seeds)
    return figure


def iteration_curves(title: str, rows: list[dict[str, Any]]) -> Figure:
    """Draw loss, accuracy and learning rate of every batch of a training, with running means."""
    figure, (loss, accuracy, rate) = plt.subplots(1, 3, figsize=(12, 3.6), width_ratios=(3, 3, 2))
    window = max(1, min(SMOOTH, len(rows) // 5))
    iterations = np.array([row["iteration"] for row in rows])
    for axes, quantity in ((loss, "loss"), (accuracy, "accuracy")):
        values = np.array([row[quantity] for row in rows])
        axes.plot(iterations, values, color=TRAIN, alpha=0.2, linewidth=0.5, label="one batch")
        means = np.convolve(values, np.full(window, 1 / window), "valid")
        middle = iterations[window // 2 :][: len(means)]
        axes.plot(middle, means, color=WRONG, label=f"mean of {window} batches")
    rate.plot(iterations, [row["lr"] for row in rows], color=PALETTE[6])
    rate.set(title="learning rate", ylim=(0, None))
    loss.set(title="training loss (cross-entropy)", yscale="log")
    accuracy.set(title="training accuracy")
    accuracy.yaxis.set_major_formatter(PercentFormatter(1.0))
    for axes in (loss, accuracy, rate):
        axes.set_xlabel("iteration")
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    rate.xaxis.set_major_locator(MaxNLocator(4))  # the narrow panel: five-digit numbers would touch
    loss.legend(loc="lower left")
    per_epoch = sum(row["epoch"] == rows[0]["epoch"] for row in rows)
    figure.suptitle(f"{title}: every batch of the training ({per_epoch:,} iterations are an epoch)")
    return figure


def trial_curves(title: str, rows: list[dict[str, Any]]) -> Figure:
    """Draw the validation loss and accuracy of every trial: the mean of its seeds, their range as a band.

    Where seeds stopped at different epochs, the curves end with the first of them.
    """
    figure, (loss, accuracy) = plt.subplots(1, 2, figsize=(12, 4.2))
    styles = cycle((color, line) for line in LINES for color in PALETTE[:7])
    most = 1
    for trial in dict.fromkeys(row["trial"] for row in rows):
        color, line = next(styles)
        seeds = _by_seed([row for row in rows if row["trial"] == trial])
        most = max(most, len(seeds))
        epochs = [row["epoch"] for row in min(seeds, key=len)]
        for axes, quantity in ((loss, "validation_loss"), (accuracy, "validation_accuracy")):
            values = np.array([[row[quantity] for row in own[: len(epochs)]] for own in seeds])
            axes.plot(epochs, values.mean(0), line, color=color, label=trial, marker="o", markersize=3)
            if len(seeds) > 1:
                axes.fill_between(epochs, values.min(0), values.max(0), color=color, alpha=0.15, linewidth=0)
    _finish(loss, accuracy, rows)
    loss.set_title("validation loss (cross-entropy)")
    accuracy.set_title("validation accuracy")
    figure.legend(*loss.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    figure.suptitle(f"{title} · mean and range of {most} seeds" if most > 1 else title)
    return figure


def _by_seed(rows: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    seeds: dict[float, list[dict[str, Any]]] = {}
    for row in rows:
        seeds.setdefault(row["seed"], []).append(row)
    return list(seeds.values())


def _kept(rows: list[dict[str, Any]], keep: str, monitor: str) -> float:
    if keep == "last":
        return rows[-1]["epoch"]
    if keep == "highest_accuracy":
        return max(rows, key=lambda row: row["validation_accuracy"])["epoch"]
    with_penalty = monitor == "penalised_loss"
    return min(rows, key=lambda row: row["validation_loss"] + (row["penalty"] if with_penalty else 0.0))[
        "epoch"
    ]


def _finish(loss: Axes, accuracy: Axes, rows: list[dict[str, Any]]) -> None:
    loss.set(title="loss (cross-entropy)", xlabel="epoch", yscale="log")
    accuracy.set(title="accuracy", xlabel="epoch")
    accuracy.yaxis.set_major_formatter(PercentFormatter(1.0))
    # The end of the training is what is compared: the first epochs, far below it, may leave the frame.
    last = {(row.get("trial"), row["seed"]): row["validation_accuracy"] for row in rows}
    worst = min(last.values())
    bottom = max(accuracy.get_ylim()[0], worst - 4 * (1.01 - worst))
    accuracy.set_ylim(bottom, 1 + (1 - bottom) / 40)
    for axes in (loss, accuracy):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
