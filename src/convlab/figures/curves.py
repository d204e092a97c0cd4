"""Learning curves of one experiment, by epoch and by iteration."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter, StrMethodFormatter

from convlab.figures.style import PALETTE, TRAIN, VALIDATION, WRONG, count_of

FEW = 10  # points: up to here each has a marker, as a single one makes no line
SMOOTH = 100  # batches in a running mean: curves of single ones are too noisy to read


def learning_curves(title: str, rows: list[dict[str, Any]], keep: str, monitor: str) -> Figure:
    """Draw loss, accuracy and learning rate over the epochs; a dotted line marks the epoch that was kept.

    Of several seeds the first is drawn in full, the others faintly. `keep` and `monitor` are the
    experiment's rule.
    """
    figure, (loss, accuracy, rate) = plt.subplots(1, 3, figsize=(12, 3.6), width_ratios=(3, 3, 2))
    first, *others = by_seed(rows)
    for own in (*others, first):
        epochs = [row["epoch"] for row in own]
        look = markers(len(epochs)) | ({"alpha": 0.3, "linewidth": 1} if own is not first else {})
        for axes, quantity in ((loss, "loss"), (accuracy, "accuracy")):
            for split, color in (("train", TRAIN), ("validation", VALIDATION)):
                label = {"train": "training"}.get(split, split) if own is first else None
                axes.plot(
                    epochs, [row[f"{split}_{quantity}"] for row in own], color=color, label=label, **look
                )
        rate.step(epochs, [row["lr"] for row in own], where="mid", color=PALETTE[6], **look)
    rate.set(title="learning rate", xlabel="epoch", yscale="log")
    whole_numbers(rate, [row["epoch"] for row in rows])
    kept = _kept(first, keep, monitor)
    for axes in (loss, accuracy):
        axes.axvline(kept, color="#888888", linestyle=":", label=f"kept: epoch {kept:.0f}")
    finish(loss, accuracy, rows)
    accuracy.legend(loc="lower right")
    seeds = f" · seed {first[0]['seed']:.0f}; faint: {len(others)} more" if others else ""
    figure.suptitle(title + seeds)
    return figure


def iteration_curves(title: str, rows: list[dict[str, Any]]) -> Figure:
    """Draw loss, accuracy and learning rate of every batch of a training, with running means."""
    figure, (loss, accuracy, rate) = plt.subplots(1, 3, figsize=(12, 3.6), width_ratios=(3, 3, 2))
    window = max(1, min(SMOOTH, len(rows) // 5))
    look = markers(len(rows))
    iterations = np.array([row["iteration"] for row in rows])
    for axes, quantity in ((loss, "loss"), (accuracy, "accuracy")):
        values = np.array([row[quantity] for row in rows])
        axes.plot(iterations, values, color=TRAIN, alpha=0.2, linewidth=0.5, label="one batch", **look)
        means = np.convolve(values, np.full(window, 1 / window), "valid")
        middle = iterations[window // 2 :][: len(means)]
        label = f"mean of {count_of(window, 'batch', 'batches')}"
        axes.plot(middle, means, color=WRONG, label=label, **look)
    rate.plot(iterations, [row["lr"] for row in rows], color=PALETTE[6], **look)
    rate.set(title="learning rate", ylim=(0, None))
    loss.set(title="training loss (cross-entropy)", yscale="log")
    accuracy.set(title="training accuracy")
    accuracy.yaxis.set_major_formatter(PercentFormatter(1.0))
    for axes in (loss, accuracy, rate):
        axes.set_xlabel("iteration")
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        whole_numbers(axes, [row["iteration"] for row in rows], 6)
    whole_numbers(rate, [row["iteration"] for row in rows], 4)  # narrow: five-digit numbers would touch
    for line in loss.legend(loc="best" if len(rows) <= FEW else "upper right").get_lines():
        line.set(alpha=max(0.5, line.get_alpha() or 1), linewidth=1.6)
    per_epoch = sum(row["epoch"] == rows[0]["epoch"] for row in rows)
    length = count_of(per_epoch, "iteration is", "iterations are")
    figure.suptitle(f"{title}: every batch of the training ({length} an epoch)")
    return figure


def markers(points: int) -> dict[str, Any]:
    """Return how to draw a curve's points: a few visibly, many as a line alone."""
    return {"marker": "o", "markersize": 5 if points == 1 else 4} if points <= FEW else {}


def whole_numbers(axes: Axes, steps: list[float], most: int = 8) -> None:
    """Label epochs or iterations by whole numbers; a single one gets a margin on both sides."""
    if min(steps) == max(steps):
        axes.set_xlim(steps[0] - 0.5, steps[0] + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(most, integer=True, min_n_ticks=1))


def by_seed(rows: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Group the rows of a training's seeds, in their order."""
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


def finish(loss: Axes, accuracy: Axes, rows: list[dict[str, Any]], split: str = "validation") -> None:
    """Set the titles, scales and limits of both axes, the limits by the accuracy on a split."""
    loss.set(title="loss (cross-entropy)", xlabel="epoch", yscale="log")
    accuracy.set(title="accuracy", xlabel="epoch")
    accuracy.yaxis.set_major_formatter(PercentFormatter(1.0))
    # The end of the training is what is compared: the first epochs, far below it, may leave the frame.
    last = {(row.get("trial"), row["seed"]): row[f"{split}_accuracy"] for row in rows}
    worst = min(last.values())
    bottom = max(accuracy.get_ylim()[0], worst - 4 * (1.01 - worst))
    accuracy.set_ylim(bottom, 1 + (1 - bottom) / 40)
    for axes in (loss, accuracy):
        whole_numbers(axes, [row["epoch"] for row in rows])
