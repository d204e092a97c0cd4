"""The page that puts results side by side: what its script needs, computed as `convlab compare` does."""

from itertools import combinations
from typing import Any

from convlab.book.contents import Contents
from convlab.book.words import shown
from convlab.results import claims, compare, rounded
from convlab.results.compare import NUMBERS, Subject, params_that_differ


def context(contents: Contents) -> dict[str, Any]:
    """Return what the template of the page needs: every result that has run and can be compared."""
    known = ((name, label) for name, label in contents.labels.items() if contents.params(name))
    return {"rows": [{"result": name, "label": label} for name, label in known]}


def data(contents: Contents) -> dict[str, Any]:
    """Return what the page's script needs.

    `subjects` by name: the hardware, the parameters in which any two results differ, each metric as text and
    as mean; `intervals` by metric and by pair (`A|B`: of A − B): the ends, and what they are taken over.
    """
    subjects = {name: found for name, found in compare.subjects().items() if name in contents.labels}
    varied = params_that_differ(list(subjects.values()))
    return {
        "metrics": [{"key": key, "title": key.replace("_", " "), "form": form(key)} for key in NUMBERS],
        "params": list(varied),
        "subjects": {
            name: {
                "hardware": ", ".join(found.found.hardware()),
                "params": [row[index] for row in varied.values()],
                "texts": [shown(key, found.values(key)) or "–" for key in NUMBERS],
                "means": [rounded(_mean(found.values(key))) for key in NUMBERS],
            }
            for index, (name, found) in enumerate(subjects.items())
        },
        "intervals": intervals(subjects),
    }


def intervals(subjects: dict[str, Subject]) -> dict[str, dict[str, list[Any]]]:
    """Return the interval of every difference that has one, by metric and by pair."""
    found: dict[str, dict[str, list[Any]]] = {}
    for a, b in combinations(subjects.values(), 2):
        several = min(len(a.found.trainings), len(b.found.trainings)) > 1
        for metric in NUMBERS if several else ("test_accuracy",):
            one = compare.difference(metric, a, b)
            if one and one.interval:
                ends = [rounded(end) for end in one.interval]
                found.setdefault(metric, {})[f"{a.name}|{b.name}"] = [*ends, one.over]
    return found


def form(metric: str) -> dict[str, Any]:
    """Return how a difference of a metric is shown: multiplied by `times`, with `digits` decimals."""
    if metric in ("epochs", "seconds", "parameters"):
        return {"times": 1, "digits": 0}
    text = claims.text_of(metric, 1.0, sign="")
    return {"times": round(float(text)), "digits": len(text.partition(".")[2])}


def _mean(numbers: list[float]) -> float | None:
    return sum(numbers) / len(numbers) if numbers else None
