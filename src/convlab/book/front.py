"""The front page: the reports' headlines beside ours, accuracy against seconds, verdicts, what is missing."""

from collections.abc import Iterator
from typing import Any

from convlab.book import scatter
from convlab.book.contents import Chapter, Contents
from convlab.book.words import SYMBOLS, facts, states
from convlab.headlines.contents import headlines
from convlab.headlines.table import TITLES
from convlab.headlines.table import cells as cells_of
from convlab.results import QUANTITIES, claims, mean_text, text_of
from convlab.results.reports import ACCURACIES, points


def context(contents: Contents) -> dict[str, Any]:
    """Return what the template of the front page needs."""
    verdicts = [judged["verdict"] for judged in contents.claims]
    return {
        "cards": [card for one in contents.chapters for card in _cards(one)],
        "surpassing": [(one.name, *cells_of(one)) for one in headlines()],
        "surpassing_titles": TITLES,
        "chart": scatter.chart(contents),
        "claims": [_claim(judged) for judged in contents.claims],
        "counts": {verdict: verdicts.count(verdict) for verdict in claims.VERDICTS},
        "symbols": SYMBOLS,
        "chapters": [one.name for one in contents.chapters if one.claims],
        "states": [
            state for one in contents.chapters if one.report for state in [states(one)] if any(state.values())
        ],
        "totals": totals(contents),
        "hardware": list(_hardware(contents)),
    }


def _cards(one: Chapter) -> Iterator[dict[str, Any]]:
    """Yield the headlines of a report: theirs, ours, the difference, and what ours rests on."""
    for line in one.lines:
        if line.row.headline:
            printed = [key for key in ACCURACIES if key in line.row.printed()]
            quantity = printed[0]
            theirs = getattr(line.row, quantity)
            target = theirs if theirs is not None else line.row.goal or 0.0
            ours = line.ours.values(quantity)
            yield {
                "report": one.name,
                "what": line.row.what,
                "quantity": QUANTITIES[quantity].title,
                "goal": line.row.goal is not None,
                "theirs": text_of(quantity, target),
                "ours": mean_text(quantity, ours),
                "status": line.ours.status,
                "difference": points(line.difference(quantity)) if ours else None,
                "facts": facts(line),
            }


def totals(contents: Contents) -> dict[str, int]:
    """Return the counts in the first sentences of the book; goals of ours are counted apart."""
    reports = [one for one in contents.chapters if one.report and not one.goals]
    lines = [line for one in reports for line in one.lines if line.row.result]
    goals = [line for one in contents.chapters if one.goals for line in one.lines if line.row.result]
    return {
        "reports": len(reports),
        "rows": len(lines),
        "run": sum(bool(line.ours.trainings) for line in lines),
        "shortened": sum(line.ours.shortened for line in lines),
        "one_seed": sum(len(line.ours.trainings) == 1 for line in lines),
        "goals": len(goals),
        "goals_run": sum(bool(line.ours.trainings) for line in goals),
        "claims": len(contents.claims),
    }


def _claim(judged: dict[str, Any]) -> dict[str, Any]:
    return {
        **judged,
        "symbol": SYMBOLS[judged["verdict"]],
        "shown": claims.shown(judged),
        "expected": claims.expected(judged),
    }


def _hardware(contents: Contents) -> Iterator[dict[str, Any]]:
    """Yield a row for each machine that something was trained on; one training counts once."""
    once = contents.trainings.drop_duplicates("fingerprint")
    for (device, bits), rows in once.groupby(["hardware", "precision"], sort=True):
        dates = sorted(str(text)[:10] for text in rows["started_at"].dropna())
        yield {
            "device": device,
            "precision": bits,
            "trainings": len(rows),
            "seconds": text_of("seconds", float(rows["seconds"].sum())),
            "dates": " to ".join(dict.fromkeys([dates[0], dates[-1]])) if dates else "–",
            "torch": ", ".join(sorted(rows["torch"].dropna().unique())),
        }
