"""The page that puts results side by side: what its script needs, computed as `convlab compare` does."""

from itertools import combinations
from statistics import mean
from typing import Any

from convlab.book.contents import Contents
from convlab.results import compare, mean_text
from convlab.results.compare import COMPARED, Subject, params_that_differ
from convlab.results.quantities import QUANTITIES


def context(contents: Contents) -> dict[str, Any]:
    """Return what the template of the page needs: every result that has run and can be compared."""
    known = ((name, label) for name, label in contents.labels.items() if contents.params(name))
    return {"rows": [{"result": name, "label": label} for name, label in known]}


def data(contents: Contents) -> dict[str, Any]:
    """Return what the page's script needs.

    `subjects` by name: the hardware, the parameters in which any two results differ, each metric as text and
    as mean; `intervals` by metric and by pair: see `intervals`; `letters`: what as many columns are called.
    """
    subjects = {name: found for name, found in compare.subjects().items() if name in contents.labels}
    varied = params_that_differ(list(subjects.values()))
    return {
        "metrics": [{"key": key, "title": QUANTITIES[key].title, "form": form(key)} for key in COMPARED],
        "params": list(varied),
        "subjects": {
            name: {
                "hardware": ", ".join(found.found.hardware()),
                "params": [row[index] for row in varied.values()],
                "texts": [mean_text(key, found.values(key)) or "–" for key in COMPARED],
                "means": [_mean(found.values(key)) for key in COMPARED],
            }
            for index, (name, found) in enumerate(subjects.items())
        },
        "intervals": intervals(subjects),
        "letters": compare.letters(len(subjects)),
    }


def intervals(subjects: dict[str, Subject]) -> dict[str, dict[str, list[Any]]]:
    """Return every difference that has an interval, by metric and by pair (`A|B`: of A − B): the difference,
    the interval's ends, and what it is over.

    The difference is not that of the two means where some seeds are left out, since only one side has them.
    """
    found: dict[str, dict[str, list[Any]]] = {}
    for a, b in combinations(subjects.values(), 2):
        several = min(len(a.found.trainings), len(b.found.trainings)) > 1
        for metric in COMPARED if several else ("test_accuracy",):
            one = compare.difference(metric, a, b)
            if one and one.interval:
                numbers = [_precise(number) for number in (one.value, *one.interval)]
                found.setdefault(metric, {})[f"{a.name}|{b.name}"] = [*numbers, one.over]
    return found


def form(metric: str) -> dict[str, Any]:
    """Return how a difference of a metric is shown: multiplied by `times`, with `digits` decimals."""
    scale = QUANTITIES[metric].scale
    return {"times": scale.times, "digits": scale.digits}


def _mean(numbers: list[float]) -> float | None:
    return _precise(mean(numbers)) if numbers else None


def _precise(number: float) -> float:
    """Round to ten significant digits: the same text on every machine, and far more than the page shows, so
    that it rounds as the terminal does."""
    return float(f"{number:.10g}")
