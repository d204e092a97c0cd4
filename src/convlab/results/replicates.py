"""A report's own replicates: the noise of its numbers, from rows of one configuration."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import mean, stdev

from convlab.results.intervals import CONFIDENCE, t_quantile

FEWEST = 3  # for a margin: with two, t has one degree of freedom, and any difference would be within it


@dataclass(frozen=True)
class Noise:
    """The test accuracies that a report printed of one configuration, two or more."""

    what: str
    accuracies: tuple[float, ...]

    def margin(self, n: int) -> float | None:
        """Return how far the mean of n trainings lies from one number of the report's by noise, at 95 %; None
        with fewer than three replicates.

        Ours are taken to have the report's standard deviation: a t interval of a difference of one and n.
        """
        if len(self.accuracies) < FEWEST:
            return None
        freedom = len(self.accuracies) - 1
        return t_quantile((1 + CONFIDENCE) / 2, freedom) * stdev(self.accuracies) * sqrt(1 + 1 / n)

    def note(self) -> str:
        """Return the note below a table that names the numbers and their noise."""
        numbers = ", ".join(f"{100 * accuracy:.2f}" for accuracy in self.accuracies)
        moments = f"{100 * mean(self.accuracies):.2f} ± {100 * stdev(self.accuracies):.2f}"
        margin = self.margin(1)
        means = (
            f"with fewer than {FEWEST}, too few for a margin of noise"
            if margin is None
            else "by this noise alone, one of our trainings may differ from a reported number by up to "
            f"{100 * margin:.2f} points (95 %), marked °"
        )
        return f"{self.what}, {len(self.accuracies)} times in the report: {numbers} % ({moments}); {means}"


def noise_by_dataset(rows: Sequence[tuple[str | None, str | None, float | None]]) -> Mapping[str, Noise]:
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
