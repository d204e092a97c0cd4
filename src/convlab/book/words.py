"""Numbers and facts as the pages show them."""

from collections.abc import Sequence
from statistics import mean
from typing import Any

from convlab import results
from convlab.book.contents import Chapter
from convlab.results import claims
from convlab.results.compare import MetricDifference
from convlab.results.reports import Line, text_of

SYMBOLS = {"confirmed": "✓", "refuted": "✗", "inconclusive": "?", "not run": "–"}


def shown(quantity: str, numbers: Sequence[float]) -> str:
    """Return the mean ± the standard deviation; "" where there is no number."""
    if not numbers:
        return ""
    if quantity == "gap":
        return results.mean_and_spread(numbers, lambda number: f"{100 * number:.2f}")
    return results.mean_and_spread(numbers, lambda number: text_of(quantity, number))


def difference_text(metric: str, found: MetricDifference | None) -> str:
    """Return a difference with its interval and what that is over: `-1.26 [-1.64, -0.88] over 3 seeds`."""
    if found is None:
        return "–"
    if metric in ("epochs", "seconds", "parameters"):
        return f"{found.value:+,.0f}"
    ends = [claims.text_of(metric, end) for end in found.interval or ()]
    return claims.text_of(metric, found.value) + (f" [{', '.join(ends)}] {found.over}" if ends else "")


def facts(line: Line) -> list[str]:
    """Return what a result rests on: seeds, epochs, hardware, dates; empty if it has not run."""
    found = line.ours
    if not found.trainings:
        return []
    epochs = mean(found.values("epochs"))
    trained = f"{epochs:.0f}" + (f" of {found.planned}" if found.shortened else "")
    dates = sorted(
        {row["timing"]["started_at"][:10] for row in found.trainings if "started_at" in row["timing"]}
    )
    seeds = f"{len(found.trainings)} seed{'s' if len(found.trainings) > 1 else ''}"
    return [seeds, f"{trained} epochs", *found.hardware(), *dates]


def states(one: Chapter) -> dict[str, Any]:
    """Name the rows of a report that have not run, were stopped, are stale, or were shortened."""
    rows = [line for line in one.lines if line.row.result]
    return {
        "report": one.name,
        "not_run": [line.row.what for line in rows if line.ours.status == "not run"],
        "stopped": [
            f"{line.row.what} ({line.ours.status})"
            for line in rows
            if line.ours.status not in ("finished", "not run")
        ],
        "stale": [
            f"{line.row.what} ({line.ours.stale[0]}{' …' if len(line.ours.stale) > 1 else ''})"
            for line in rows
            if line.ours.stale
        ],
        "shortened": [
            f"{line.row.what} ({mean(line.ours.values('epochs')):.0f} of {line.ours.planned} epochs)"
            for line in rows
            if line.ours.shortened
        ],
    }
