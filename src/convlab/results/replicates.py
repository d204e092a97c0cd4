"""A report's own replicates: rows of one configuration, whose spread tells how far its numbers are noise."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import mean, stdev

from convlab.results.intervals import CONFIDENCE, t_quantile


@dataclass(frozen=True)
class Noise:
    """The test accuracies that a report printed of one configuration, two or more."""

    what: str
    accuracies: tuple[float, ...]

    def reach(self, n: int) -> float:
        """Return how far the mean of n trainings lies from one number of the report's by noise, at 95 %.

        Ours are taken to have the report's spread: a t interval of a difference between one and n.
        """
        freedom = len(self.accuracies) - 1
        return t_quantile((1 + CONFIDENCE) / 2, freedom) * stdev(self.accuracies) * sqrt(1 + 1 / n)

    def note(self) -> str:
        """Say it in a line below a table."""
        numbers = ", ".join(f"{100 * accuracy:.2f}" for accuracy in self.accuracies)
        spread = f"{100 * mean(self.accuracies):.2f} ± {100 * stdev(self.accuracies):.2f}"
        return (
            f"{self.what}, {len(self.accuracies)} times in the report: {numbers} %, {spread}; by that noise "
            f"alone one training differs from a number of its by up to {100 * self.reach(1):.2f} points "
            "(95 %), marked °"
        )


def noises(rows: Sequence[tuple[str | None, str | None, float | None]]) -> Mapping[str, Noise]:
    """Return the noise of a report by data set, from (replicate, data set, test accuracy) of its rows."""
    groups: dict[tuple[str, str], list[float]] = {}
    for replicate, dataset, accuracy in rows:
        if replicate and dataset and accuracy is not None:
            groups.setdefault((dataset, replicate), []).append(accuracy)
    return {
        dataset: Noise(replicate, tuple(accuracies))
        for (dataset, replicate), accuracies in groups.items()
        if len(accuracies) > 1
    }
