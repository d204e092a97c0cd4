"""What is read off the learning curves of a training: its start, its oscillation, a late rise.

Each is computed from curves.csv, so that it needs no training of its own. The losses are cross-entropies in
nats, those of `train` the means over an epoch's steps, as a loop prints them.
"""

from collections.abc import Sequence
from statistics import mean
from typing import Any

EARLY = 3  # epochs: of the start, which oscillation leaves out, and of a mean level at the end
OSCILLATING = ("train_loss", "validation_loss", "validation_accuracy")
# Every quantity of a curve
OF_CURVES = (
    "early_accuracy",
    *(f"oscillation_{column}" for column in OSCILLATING),
    "rise_validation_loss",
    "last_lr",
)


def of_curve(rows: Sequence[dict[str, Any]]) -> dict[str, float | None]:
    """Return OF_CURVES of a training, whose epochs are `rows` of curves.csv; None where they are too few.

    `early_accuracy`: the mean validation accuracy of the first EARLY epochs. `oscillation_…`: see
    `oscillation`, over the epochs after those. `rise_validation_loss`: the mean validation loss of the last
    EARLY epochs minus the lowest of EARLY consecutive epochs, 0 or more: one bad epoch at the end is no rise.
    `last_lr`: the learning rate of the last epoch.
    """
    columns = {column: [row[column] for row in rows if column in row] for column in OSCILLATING}
    accuracies, losses = columns["validation_accuracy"][:EARLY], columns["validation_loss"]
    levels = [mean(losses[end - EARLY : end]) for end in range(EARLY, len(losses) + 1)]
    return {
        "early_accuracy": mean(accuracies) if len(accuracies) == EARLY else None,
        **{f"oscillation_{column}": oscillation(own[EARLY:]) for column, own in columns.items()},
        "rise_validation_loss": levels[-1] - min(levels) if levels else None,
        "last_lr": rows[-1].get("lr") if rows else None,
    }


def oscillation(numbers: Sequence[float]) -> float | None:
    """Return the mean absolute second difference, |x[t−1] − 2 x[t] + x[t+1]|; None of fewer than three.

    A straight line has none, however steep; one that alternates between up by d and down by d has 2 d.
    """
    inner = zip(numbers, numbers[1:], numbers[2:], strict=False)
    bends = [abs(before - 2 * here + after) for before, here, after in inner]
    return mean(bends) if bends else None
