"""What the reports claim, judged from intervals over seeds.

The difference a − b is taken seed by seed where both sides have the seed (a paired t interval), else between
the two groups (Welch's); both at 95 %. Where the interval settles neither, the verdict is 'inconclusive'.
"""

import warnings
from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

from scipy import stats

from convlab import results
from convlab.results import Found, Plan, rounded
from convlab.schema import Claim

CONFIDENCE = 0.95
VERDICTS = ("confirmed", "refuted", "inconclusive", "not run")


def judge_all(claims: Mapping[str, Claim], plans: Mapping[str, Plan]) -> list[dict[str, Any]]:
    """Judge every claim from metrics/. Differences, margins and intervals are in the units of metrics/:
    accuracies from 0 to 1; rounded to six digits, so that they are the same text on every machine.

    Raises:
        InputError: a result's file is damaged.
    """
    return [judge(name, claim, plans) for name, claim in claims.items()]


def judge(name: str, claim: Claim, plans: Mapping[str, Plan]) -> dict[str, Any]:
    """Judge one claim: verdict, difference a − b, its interval, and the epochs of both sides."""
    a, b = results.find(claim.a, plans), results.find(claim.b, plans)
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", RuntimeWarning
        )  # scipy's, where one group has no spread: all is finite
        n, difference, interval = compare(_by_seed(a, claim.metric), _by_seed(b, claim.metric))
    if not n:
        verdict = "not run"
        reason = "; ".join(filter(None, (_stopped(claim.a, a), _stopped(claim.b, b))))
    elif interval is None:
        verdict, reason = "inconclusive", "n = 1: no interval"
    else:
        verdict, reason = decide(claim.relation, claim.margin, *interval), ""
    return {
        "name": name,
        **claim.model_dump(),
        "n": n,
        "difference": rounded(difference),
        "interval": [rounded(end) for end in interval] if interval else None,
        "confidence": CONFIDENCE,
        "verdict": verdict,
        "reason": reason,
        **_epochs("a", a),
        **_epochs("b", b),
    }


def compare(
    a: Sequence[tuple[Any, float]], b: Sequence[tuple[Any, float]]
) -> tuple[int, float | None, tuple[float, float] | None]:
    """Compare (seed, number) on two sides.

    Returns:
        n (pairs, or the smaller group's size); the mean difference a − b, None where a side is empty; and its
        interval, None where n < 2.
    """
    if not a or not b:
        return 0, None, None
    other = dict(b)
    pairs = [(number, other[seed]) for seed, number in a if seed in other]
    if len(pairs) < 2:
        return _unpaired([number for _, number in a], [number for _, number in b])
    differences = [one - two for one, two in pairs]
    difference = mean(differences)
    if _still(differences):
        return len(pairs), difference, (difference, difference)
    low, high = stats.ttest_rel(*zip(*pairs, strict=True)).confidence_interval(CONFIDENCE)
    return len(pairs), difference, (float(low), float(high))


def _unpaired(a: list[float], b: list[float]) -> tuple[int, float, tuple[float, float] | None]:
    n, difference = min(len(a), len(b)), mean(a) - mean(b)
    if n < 2:
        return n, difference, None
    if _still(a) and _still(b):
        return n, difference, (difference, difference)
    low, high = stats.ttest_ind(a, b, equal_var=False).confidence_interval(CONFIDENCE)
    return n, difference, (float(low), float(high))


def _still(numbers: Sequence[float]) -> bool:
    """Tell whether there is no spread but rounding: t would be x / 0, and the interval is a point."""
    return max(numbers) - min(numbers) < 1e-12


def decide(relation: str, margin: float, low: float, high: float) -> str:
    """Return the verdict on `a above (below, same as) b` from the interval of a − b."""
    if relation == "below":
        low, high = -high, -low
    if relation == "same":
        confirmed, refuted = -margin <= low and high <= margin, low > margin or high < -margin
    else:
        confirmed, refuted = low > margin, high < margin
    return "confirmed" if confirmed else "refuted" if refuted else "inconclusive"


def table(judged: Sequence[Mapping[str, Any]]) -> str:
    """Make the Markdown table of claims and verdicts, below one line that counts them."""
    counts = ", ".join(
        f"{sum(row['verdict'] == verdict for row in judged)} {verdict}" for verdict in VERDICTS
    )
    lines = [
        "| report | claim | expected | difference, 95 % interval | n | epochs | verdict |",
        "| --- | --- | --- | ---: | ---: | ---: | --- |",
    ]
    for row in judged:
        verdict = f"**{row['verdict']}**" if row["verdict"] in ("confirmed", "refuted") else row["verdict"]
        reason = f" ({row['reason']})" if row["reason"] else ""
        cells = [row["report"], row["says"], _expected(row), _shown(row), str(row["n"] or "–"), _trained(row)]
        lines.append("| " + " | ".join([*cells, verdict + reason]) + " |")
    summary = f"<summary>{len(judged)} claims: {counts}</summary>"
    return "\n".join(["<details>", summary, "", *lines, "", "</details>", ""])


def _by_seed(found: Found, metric: str) -> list[tuple[Any, float]]:
    """Return (seed, number) of each training."""
    numbers = [(row["seed"], results.value(row, metric)) for row in found.trainings]
    return [(seed, number) for seed, number in numbers if number is not None]


def _stopped(result: str, found: Found) -> str:
    """Return what stopped a result that has not run, or an empty text."""
    return "" if found.status in ("finished", "not run") else f"{result} is {found.status}"


def _epochs(side: str, found: Found) -> dict[str, Any]:
    epochs = found.values("epochs")
    return {
        f"epochs_{side}": rounded(mean(epochs)) if epochs else None,
        f"planned_epochs_{side}": found.planned,
        f"shortened_{side}": found.shortened,
    }


def _number(metric: str, number: float, sign: str = "+") -> str:
    """Return a difference as text: accuracies and gaps in percentage points, other metrics as they are."""
    if metric == "gap" or metric.endswith("accuracy"):
        return f"{100 * number:{sign}.2f}"
    return f"{number:{sign}.4f}" if metric.endswith("loss") else f"{number:{sign}.2f}"


def _expected(row: Mapping[str, Any]) -> str:
    metric = row["metric"].replace("_", " ")
    margin = _number(row["metric"], row["margin"], sign="")
    if row["relation"] == "same":
        return f"{metric} within ±{margin}"
    return f"{metric} {row['relation']}" + (f" by {margin}" if row["margin"] else "")


def _shown(row: Mapping[str, Any]) -> str:
    if row["difference"] is None:
        return "–"
    ends = [_number(row["metric"], end) for end in row["interval"] or []]
    return _number(row["metric"], row["difference"]) + (f" [{ends[0]}, {ends[1]}]" if ends else "")


def _trained(row: Mapping[str, Any]) -> str:
    shown = [
        f"{row[f'epochs_{side}']:g}"
        + (f" of {row[f'planned_epochs_{side}']}" if row[f"shortened_{side}"] else "")
        for side in ("a", "b")
        if row[f"epochs_{side}"] is not None
    ]
    return " / ".join(dict.fromkeys(shown)) or "–"
