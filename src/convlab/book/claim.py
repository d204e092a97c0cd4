"""The page of a claim: the report's words, each seed's point, the interval, the verdict, how to rerun it."""

from statistics import mean
from typing import Any, assert_never

from convlab.book.contents import Contents
from convlab.book.words import SYMBOLS
from convlab.results import QUANTITIES, Found, claims, difference_text, text_of
from convlab.results.rerun import rerun
from convlab.schema import WITHIN, Relation

FEWEST = 3  # seeds a side, from which an interval rests on their own spread
LEFT, WIDTH = 20, 660  # the chart's drawing area, in units of its viewBox


def context(contents: Contents, judged: dict[str, Any]) -> dict[str, Any]:
    """Return what the template of a claim's page needs."""
    within = judged["metric"] in WITHIN
    sides = {side: contents.found(judged[side]) for side in ("a" if within else "ab")}
    numbers = {side: claims.numbers_by_seed(found, judged["metric"]) for side, found in sides.items()}
    return {
        "claim": judged,
        "symbol": SYMBOLS[judged["verdict"]],
        "metric": QUANTITIES[judged["metric"]].title,
        "within": within,
        "expected": _wanted(judged),
        "shown": claims.shown(judged),
        "printed": claims.in_its_table(judged).replace("*", "") if judged["printed"] else None,
        "reading": _reading(judged),
        "sides": {side: _side(contents, judged, found, numbers[side]) for side, found in sides.items()},
        "points": _chart(judged["metric"], numbers) if len(sides) == 2 and all(numbers.values()) else None,
        "interval": _interval(judged) if judged["difference"] is not None else None,
        "rerun": rerun(judged),
        "fewest": FEWEST,
        "more": rerun(judged, FEWEST) if judged["n"] < FEWEST and not within else None,
        "curves": [
            {"result": name, "label": name}
            for name in dict.fromkeys(judged[side] for side in sides)
            if name in contents.labels
        ],
    }


def _side(
    contents: Contents, judged: dict[str, Any], found: Found, numbers: list[tuple[Any, float]]
) -> dict[str, Any]:
    epochs = found.values("epochs")
    return {
        "status": found.status,
        "numbers": [(seed, text_of(judged["metric"], number)) for seed, number in numbers],
        "mean": text_of(judged["metric"], mean(number for _, number in numbers)) if numbers else None,
        "epochs": f"{mean(epochs):.0f}{found.of_planned}" if epochs else "–",
        "hardware": ", ".join(found.hardware()) or "–",
    }


def _reading(judged: dict[str, Any]) -> list[str]:
    """Return sentences on what the interval shows and what it rests on."""
    wanted, because = _wanted(judged), f" ({judged['reason']})" if judged["reason"] else ""
    verdict: claims.Verdict = judged["verdict"]
    if verdict == "not run":
        which = "The result" if judged["metric"] in WITHIN else "One of the two results"
        return [f"{which} has not been run, so there is nothing to compare{because}."]
    if judged["interval"] is None or judged["p"] is None:
        return [f"No verdict is given: the difference may be chance{because}."]
    if judged["n"] == 1:
        rests = _one_seed(judged["reason"])
    else:
        rests = "; ".join(filter(None, (f"n = {judged['n']}", judged["reason"]))) + "."
    match verdict:
        case "confirmed":
            said = f"The whole 95 % interval agrees with the claim: {wanted}."
        case "refuted":
            said = f"The whole 95 % interval contradicts the claim: {wanted}."
        case "inconclusive":
            return [
                f"The 95 % interval contains differences that agree with the claim ({wanted}) and others "
                "that do not.",
                rests,
            ]
        case _:
            assert_never(verdict)
    among = "holds" if judged["holds_among_all"] else "does not hold"
    return [said, rests, f"p = {judged['p']:.2g}; among all claims together the verdict {among} (Holm)."]


def _one_seed(reason: str) -> str:
    """Return what the interval of a single difference rests on: the spread of another result."""
    spread = reason.partition("n = 1: ")[2]
    return f"It rests on one seed; its width is from the {spread}." if spread else f"It rests on {reason}."


def _wanted(judged: dict[str, Any]) -> str:
    """Return what the claim states of a and b: `a above b`, `a and b within ±0.20`."""
    margin = difference_text(judged["metric"], judged["margin"], sign="")
    if judged["metric"] in WITHIN:
        return claims.expected(judged)
    relation: Relation = judged["relation"]
    more = f" by more than {margin}" if judged["margin"] else ""
    match relation:
        case "same":
            return f"a and b within ±{margin}"
        case "not_above":
            return f"a not above b{more}"
        case "above" | "below":
            return f"a {relation} b{more}"
        case _:
            assert_never(relation)


def _chart(metric: str, numbers: dict[str, list[tuple[Any, float]]]) -> dict[str, Any]:
    """Lay out each seed's point on two lines, one for each side."""
    every = [number for side in numbers.values() for _, number in side]
    low, high = min(every), max(every)
    margin = 0.08 * (high - low) or abs(high) * 0.01 or 1.0
    low, high = low - margin, high + margin
    place = lambda number: round(LEFT + WIDTH * (number - low) / (high - low), 1)  # noqa: E731
    sides = {
        side: [
            {"x": place(number), "title": f"seed {seed}: {text_of(metric, number)}"} for seed, number in own
        ]
        for side, own in numbers.items()
    }
    ticks = [low + (high - low) * share for share in (0.05, 0.35, 0.65, 0.95)]
    return {"sides": sides, "ticks": [(place(tick), text_of(metric, tick)) for tick in ticks]}


def _interval(judged: dict[str, Any]) -> dict[str, Any]:
    """Lay out the difference, its interval, and what the claim expects, around zero."""
    metric, margin = judged["metric"], judged["margin"]
    low, high = judged["interval"] or (judged["difference"], judged["difference"])
    reach = 1.15 * max(abs(low), abs(high), abs(margin)) or 1.0
    place = lambda number: round(LEFT + WIDTH * (number + reach) / (2 * reach), 1)  # noqa: E731
    bounds = {
        "above": (margin, reach),
        "below": (-reach, -margin),
        "same": (-margin, margin),
        "not_above": (-reach, margin),
    }[judged["relation"]]
    return {
        "zone": [place(end) for end in bounds],
        "zero": place(0),
        "ends": [place(low), place(high)] if judged["interval"] else None,
        "difference": place(judged["difference"]),
        "ticks": [(place(tick), difference_text(metric, tick)) for tick in (-0.8 * reach, 0.0, 0.8 * reach)],
    }
