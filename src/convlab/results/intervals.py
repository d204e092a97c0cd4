"""Intervals of a difference of two results, by the standard deviation over seeds and the number of images."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import hypot, inf, sqrt
from statistics import mean, stdev, variance
from typing import Any

from scipy.special import ndtri, stdtrit  # scipy.stats, which calls them, takes a second to import

CONFIDENCE = 0.95
ROUNDING = 1e-12  # relative to the numbers
SeedNumbers = Sequence[tuple[Any, float]]  # (seed, number) of each training


@dataclass(frozen=True)
class Borrowed:
    """What stands in for too few trainings: the standard deviation of another result, over `n` trainings; or,
    where `pooled`, that of a study's trials about their own means, with n − 1 degrees of freedom in all."""

    result: str
    deviation: float
    n: int
    pooled: bool = False

    @property
    def description(self) -> str:
        """Where it comes from, in words."""
        if self.pooled:
            return f"standard deviation pooled over {self.result}, {self.n - 1} degrees of freedom"
        return f"standard deviation of {self.result}, n = {self.n}"


@dataclass(frozen=True)
class Difference:
    """A difference a − b with its standard error over seeds, and that of the images it was measured on.

    `n`: pairs of seeds, or the smaller group's size; `freedom`: of the t distribution; `error` is None where
    one training has no standard deviation; `images`: 0.0 for a metric that is not a share of images;
    `paired`: of the seeds that both sides have, which may not be all.
    """

    n: int
    value: float
    error: float | None
    freedom: float = inf
    images: float = 0.0
    paired: bool = False

    def interval(self, confidence: float = CONFIDENCE) -> tuple[float, float] | None:
        """Return both ends, or None where there is no standard deviation to judge by."""
        if self.error is None or not (self.error or self.images):
            return None
        tail = (1 + confidence) / 2
        half = hypot(t_quantile(tail, self.freedom) * self.error, t_quantile(tail, inf) * self.images)
        return self.value - half, self.value + half


def t_quantile(share: float, freedom: float) -> float:
    """Return the `share` quantile of Student's t distribution; at infinite freedom, of the normal one."""
    return float(ndtri(share) if freedom == inf else stdtrit(freedom, share))


def interval_of_difference(
    a: SeedNumbers, b: SeedNumbers, images: float = 0.0, borrowed: Borrowed | None = None
) -> Difference | None:
    """Compare two results, seed by seed where both have at least two seeds (paired), else as groups (Welch).

    By a `borrowed` standard deviation, if given; without it one training on a side has none. None where a
    side is empty. `images`: see `images_error`.
    """
    if not a or not b:
        return None
    other = dict(b)
    differences = [number - other[seed] for seed, number in a if seed in other]
    count = len(differences)
    if borrowed is not None:
        in_pairs = count > 1
        sizes = (count, count) if in_pairs else (len(a), len(b))
        value = mean(differences) if in_pairs else mean(dict(a).values()) - mean(other.values())
        error = borrowed.deviation * sqrt(sum(1 / size for size in sizes))
        return Difference(min(sizes), value, error, borrowed.n - 1, images, in_pairs)
    if count > 1:
        error = _deviation(differences, [number for _, number in (*a, *b)]) / sqrt(count)
        return Difference(count, mean(differences), error, count - 1, images, paired=True)
    ours, theirs = [number for _, number in a], [number for _, number in b]
    n, value = min(len(ours), len(theirs)), mean(ours) - mean(theirs)
    if n > 1:
        one, two = (_deviation(group, group) ** 2 / len(group) for group in (ours, theirs))
        parts = one**2 / (len(ours) - 1) + two**2 / (len(theirs) - 1)
        return Difference(n, value, sqrt(one + two), (one + two) ** 2 / parts if parts else inf, images)
    return Difference(n, value, None, images=images)


def pool(groups: Sequence[Sequence[float]]) -> tuple[float, int]:
    """Return the standard deviation of numbers about the mean of their group, and its degrees of freedom.

    Groups of one number, or of equal ones (a network that stays at chance), say nothing of the others' and
    are left out.
    """
    varied = [group for group in groups if len(group) > 1 and _deviation(group, group)]
    freedom = sum(len(group) - 1 for group in varied)
    if not freedom:
        return 0.0, 0
    return sqrt(sum(variance(group) * (len(group) - 1) for group in varied) / freedom), freedom


def images_error(shares: Sequence[float], count: int) -> float:
    """Return the standard error of a difference of two shares of `count` images, as if over other images.

    Both were measured on the same images, on most of which they agree; on how many is not recorded, so this
    assumes separate images, which overestimates it.
    """
    return sqrt(sum(share * (1 - share) for share in shares) / count)


def level(settled: Callable[[float], bool]) -> float:
    """Return the smallest α, to 1e-6, at which an interval of confidence 1 − α settles a question: a p-value.

    `settled`: whether a confidence settles it; if one does, every lower one does, too.
    """
    low, high = 0.0, 1.0
    while high - low > 1e-6 * max(high, 1e-6):
        middle = (low + high) / 2
        low, high = (low, middle) if settled(1 - middle) else (middle, high)
    return high


def holm(levels: Sequence[float], alpha: float = 1 - CONFIDENCE) -> list[bool]:
    """Tell which of several p-values hold at `alpha` all together (Holm, 1979)."""
    order = sorted(range(len(levels)), key=lambda index: levels[index])
    held = [False] * len(levels)
    for rank, index in enumerate(order):
        if levels[index] * (len(levels) - rank) > alpha:
            break
        held[index] = True
    return held


def _deviation(numbers: Sequence[float], measured: Sequence[float]) -> float:
    """Return the standard deviation; 0 for rounding errors of `measured`, so that equal numbers have none."""
    found = stdev(numbers)
    return 0.0 if found <= ROUNDING * max(map(abs, measured)) else found
