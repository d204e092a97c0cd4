"""Numbers and facts as the pages show them."""

from collections.abc import Iterable
from statistics import mean
from typing import Any

from convlab.book.contents import Chapter
from convlab.results import folders
from convlab.results.reports import Line

SYMBOLS = {"confirmed": "✓", "refuted": "✗", "inconclusive": "?", "not run": "–"}


def joined(facts: Iterable[str]) -> str:
    """Return the different facts of several trainings, sorted; "–" where there is none."""
    return ", ".join(sorted(set(facts))) or "–"


def facts(line: Line) -> list[str]:
    """Return what a result rests on: seeds, epochs, hardware, dates; empty if it has not run."""
    found = line.ours
    if not found.trainings:
        return []
    trained = f"{mean(found.values('epochs')):.0f}{found.of_planned}"
    dates = sorted(
        {row["timing"]["started_at"][:10] for row in found.trainings if "started_at" in row["timing"]}
    )
    seeds = f"{len(found.trainings)} seed{'s' if len(found.trainings) > 1 else ''}"
    return [seeds, f"{trained} epochs", *found.hardware(), *dates]


def states(one: Chapter) -> dict[str, Any]:
    """Name the rows of a report that have not run, were stopped, are stale, or were shortened; and say why a
    result is inconsistent, of which nothing is shown."""
    rows = [line for line in one.lines if line.row.result]
    return {
        "report": one.name,
        "not_run": [line.row.what for line in rows if line.ours.status == "not run"],
        "stopped": [
            f"{line.row.what} ({line.ours.status})"
            for line in rows
            if line.ours.status not in ("finished", "not run", "inconsistent")
        ],
        "inconsistent": [problem for name in one.names if (problem := folders.load(name).problem)],
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
