"""Differences within one result, for claims that compare it with nothing else: confusions, maps over depth.

They are of the first seed's network, over its wrong test images: another network may confuse others.
"""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from math import hypot, sqrt
from typing import assert_never

from convlab.errors import InputError
from convlab.results import figure_data
from convlab.results.folders import Confused, confusions
from convlab.results.intervals import Difference
from convlab.schema import Claim
from convlab.schema.study import Than

PAIR = re.compile(r"(?P<one>[^/>]+?)(?P<way>/|->)(?P<other>[^/>]+)")
# Of a normal distribution: a median has the standard error 1.2533 σ / √n, and the quartiles are 1.349 σ apart
MEDIAN_ERROR = 1.2533 / 1.349


def difference(name: str, claim: Claim) -> Difference | None:
    """Return what a claim without `b` compares, with its standard error; None where `a` has no such file.

    `confusion_share`: the share of `pairs` among the wrong test images, less that of as many other pairs, the
    most frequent ones (`than: others`), or that of as many average ones (`than: average`); or the share of
    the rarest of `pairs`, less that of the most frequent other pair (`than: every other`).
    `map_distance`: the distance of confused pairs' feature maps at the last convolution, less that at the
    first (see `figures.pairs`). The pixels are no start to compare with: the pairs are the nearest in them.

    Raises:
        InputError: a pair names a class that the test images do not have; a file is damaged.
    """
    if claim.metric == "map_distance":
        return _over_depth(claim.a)
    confused = confusions(claim.a)
    assert claim.pairs is not None, "the schema demands them"
    return of_pairs(name, confused, claim.pairs, claim.than) if confused else None


def of_pairs(
    name: str, confused: Sequence[Confused], pairs: Sequence[str], than: Than | None
) -> Difference | None:
    """Return the share of named pairs among the wrong images less that of those they are compared with."""
    assert than, "the schema demands it"
    classes = sorted({label for both in confused for label in both})
    wrong = Counter((actual, predicted) for actual, predicted in confused if actual != predicted)
    total = wrong.total()
    named = [_directions(name, pair, classes) for pair in pairs]
    if not total:
        return None
    taken = {way for ways in named for way in ways}
    both_ways = [((one, other), (other, one)) for one, other in combinations(classes, 2)]
    ours = sorted(sum(wrong[way] for way in ways) for ways in named)
    others = sorted(
        (sum(wrong[way] for way in ways) for ways in both_ways if not taken.intersection(ways)), reverse=True
    )
    match than:
        case "average":
            share, every = sum(ours) / total, len(classes) * (len(classes) - 1)
            return Difference(1, share - len(taken) / every, sqrt(share * (1 - share) / total))
        case "others":
            share, rest = sum(ours) / total, sum(others[: len(named)]) / total
        case "every other":
            share, rest = ours[0] / total, max(others, default=0) / total
        case _:
            assert_never(than)
    # Both are shares of the same wrong images: of a multinomial, the variance of their difference
    error = sqrt((share + rest - (share - rest) ** 2) / total)
    return Difference(1, share - rest, error)


def _directions(name: str, pair: str, classes: Sequence[str]) -> tuple[Confused, ...]:
    """Return the confusions that `5/3` (either way) or `deer->frog` names."""
    found = PAIR.fullmatch(pair)
    assert found, "the schema demands it"
    one, other = found["one"], found["other"]
    for label in (one, other):
        if label not in classes:
            raise InputError(
                f"claims.{name}.pairs: found {pair!r}; allowed: two of {', '.join(classes)}, as "
                f"{classes[0]}/{classes[-1]} or {classes[0]}->{classes[-1]}"
            )
    return ((one, other),) if found["way"] == "->" else ((one, other), (other, one))


def _over_depth(name: str) -> Difference | None:
    """Return the median distance of confused pairs at the last convolution less that at the first.

    Its standard error is that of two medians of normal distributions, estimated from their quartiles.
    """
    summary = figure_data.pairs(name)
    convolutions = list(summary.layers.values())[1:] if summary else []  # the input comes before them
    if summary is None or len(convolutions) < 2:
        return None
    first, last = (convolutions[index].taken_for for index in (0, -1))
    spreads = [one.third_quartile - one.first_quartile for one in (first, last)]
    error = MEDIAN_ERROR * hypot(*spreads) / sqrt(summary.pairs)
    return Difference(1, last.median - first.median, error)
