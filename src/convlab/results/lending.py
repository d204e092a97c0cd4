"""The standard deviation over seeds by which results with too few of them are judged: whose it may be."""

from collections.abc import Collection, Mapping

from convlab import results
from convlab.results import intervals
from convlab.results.intervals import Borrowed
from convlab.schema import Experiment

SEEDS = 3  # at least, of a result whose standard deviation another borrows, or that has its own
FREEDOM = 3  # degrees of it, at least, of a pooled standard deviation


def pooled(metric: str, sides: Collection[str], experiments: Mapping[str, Experiment]) -> Borrowed | None:
    """Return the standard deviation over seeds of the trials of one sweep, those with the conventions of both
    sides, about their own means; None if it has too few degrees of freedom, or a side is not of that sweep.
    """
    studies = dict.fromkeys(result.partition("/")[0] for result in sides if "/" in result)
    if len(studies) != 1 or not all("/" in result for result in sides):
        return None
    (study,) = studies
    allowed = {_conventions(experiments[side]) for side in sides}
    trials = [
        result
        for result, experiment in experiments.items()
        if result.startswith(f"{study}/") and _conventions(experiment) in allowed
    ]
    deviation, freedom = intervals.pool([results.values(results.rows(result), metric) for result in trials])
    return Borrowed(study, deviation, freedom + 1, pooled=True) if freedom >= FREEDOM else None


def lenders(metric: str, dataset: str, experiments: Mapping[str, Experiment]) -> dict[str, Borrowed]:
    """Return the standard deviation over seeds of each result on a data set that has enough of them."""
    found = {}
    for result, experiment in experiments.items():
        if experiment.dataset == dataset:
            numbers = results.values(results.rows(result), metric)
            if len(numbers) >= SEEDS:
                found[result] = Borrowed(result, results.spread(numbers) or 0.0, len(numbers))
    return found


def lent(found: Mapping[str, Borrowed], *bases: str) -> Borrowed | None:
    """Return which of the lenders two results borrow from, of which `bases` are the experiments they vary.

    If both vary the same one, it is that one: a variant resembles its base more than other networks do. Else,
    or if it does not lend, the one with the largest standard deviation; None if there is none.
    """
    if len({*bases}) == 1 and (own := found.get(bases[0])):
        return own
    return max(found.values(), key=lambda one: one.deviation, default=None)


def _conventions(experiment: Experiment) -> str:
    """Return what trials have to share, besides a sweep, to be pooled."""
    return f"{experiment.init} {experiment.batch_norm} {experiment.preprocess}"
