"""What a report's own tables say about its claims: its text and its numbers need not agree."""

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

from convlab.results.claims import decide
from convlab.results.read import rounded
from convlab.results.reports import Report, ReportRow
from convlab.schema import Experiment

SAYS = {"confirmed": "agrees", "refuted": "contradicts", "inconclusive": "neither"}
NAMES = {"epoch_seconds": "seconds_per_epoch"}  # a claim's metric → what a report's row calls it


def beside(
    judged: Sequence[Mapping[str, Any]],
    reports: Mapping[str, Report],
    experiments: Mapping[str, Experiment],
) -> list[dict[str, Any]]:
    """Return judged claims, each with the difference a − b of the numbers that its report prints.

    `printed_difference`, in the units of metrics/, and `printed`: it 'agrees' with the claim, 'contradicts'
    it, or does 'neither'; both None where the report has no number of a side. Its numbers have no interval,
    so one that differs by chance may agree or contradict.
    """
    found = []
    for claim in judged:
        rows = reports[claim["report"]].rows if claim["report"] in reports else []
        a, b = (_number(claim["metric"], claim[side], rows, experiments) for side in ("a", "b"))
        difference = verdict = None
        if a is not None and b is not None and claim["a"] != claim["b"]:
            difference = round(a - b, 9)  # 0.9947 − 0.9952 is within 0.0005, whatever its last bits
            verdict = SAYS[decide(claim["relation"], claim["margin"], difference, difference)]
        found.append({**claim, "printed_difference": rounded(difference), "printed": verdict})
    return found


def _number(
    metric: str, result: str, rows: Sequence[ReportRow], experiments: Mapping[str, Experiment]
) -> float | None:
    """Return the mean of what a report prints of a result: of its own rows, else of those of its recipe."""
    own = [row for row in rows if row.result == result and not row.other_reading]
    same = [
        row
        for row in rows
        if row.result and not row.other_reading and _alike(experiments, row.result, result)
    ]
    numbers = [number for row in own or same if (number := _printed(metric, row)) is not None]
    return mean(numbers) if numbers else None


def _alike(experiments: Mapping[str, Experiment], one: str, other: str) -> bool:
    """Tell whether two results are of one recipe, of however many seeds."""
    recipes = [experiments.get(result) for result in (one, other)]
    first, second = (recipe and recipe.model_copy(update={"seeds": 1}) for recipe in recipes)
    return first is not None and first == second


def _printed(metric: str, row: ReportRow) -> float | None:
    if metric == "gap":
        train, validation = row.running_accuracy, row.validation_accuracy
        return None if train is None or validation is None else train - validation
    number: float | None = getattr(row, NAMES.get(metric, metric), None)
    return number
