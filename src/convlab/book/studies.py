"""What a report's page makes of a sweep or of a confusion matrix: a grid, a study of λ, a table of errors."""

from collections import Counter
from collections.abc import Sequence
from statistics import mean
from typing import Any

from convlab import results
from convlab.book.contents import Chapter, Contents, confusion_pairs
from convlab.book.words import shown
from convlab.reports import QUANTITIES, text_of

MOST_CLASSES = 20  # of a confusion matrix that is drawn as a table
GRID = ("model.strides", "model.kernels")
L2_COLUMNS = (
    "test_accuracy",
    "test_loss",
    "penalised_test_loss",
    "kernel_norm",
    "weight_norm",
    "gap",
    "epochs",
)


def grid(contents: Contents, one: Chapter, name: str) -> dict[str, Any] | None:
    """Lay out a sweep of strides × kernels as a heat map of test accuracy; None of another sweep."""
    points_of = {
        r: contents.params(r) for r in one.results if r.startswith(f"{name}/") and contents.params(r)
    }
    if set(_varied(list(points_of.values()))) != set(GRID):
        return None
    theirs = {line.row.result: line.row.test_accuracy for line in one.lines}
    cells: dict[tuple[str, str], dict[str, Any]] = {}
    for result, params in points_of.items():
        ours = results.find(result, contents.plans).values("test_accuracy")
        cells[params[GRID[0]], params[GRID[1]]] = {
            "result": result,
            "ours": ours,
            "theirs": theirs.get(result),
        }
    means = [mean(cell["ours"]) for cell in cells.values() if cell["ours"]]
    low, high = min(means), max(means)
    for cell in cells.values():
        cell["share"] = (mean(cell["ours"]) - low) / (high - low) if cell["ours"] and high > low else 0.0
        cell["text"] = shown("test_accuracy", cell["ours"])
        cell["their_text"] = text_of("test_accuracy", cell["theirs"]) if cell["theirs"] else ""
    return {
        "name": name,
        "rows": list(dict.fromkeys(row for row, _ in cells)),
        "columns": list(dict.fromkeys(column for _, column in cells)),
        "cells": cells,
    }


def _varied(several: Sequence[dict[str, str]]) -> list[str]:
    """Name the keys in which configurations differ."""
    keys = dict.fromkeys(key for params in several for key in params)
    return [key for key in keys if len({params.get(key) for params in several}) > 1]


def l2(contents: Contents, one: Chapter, name: str) -> dict[str, Any] | None:
    """Lay out a sweep that varies λ alone: its rows, and what the chart draws; None of another sweep."""
    trials = {r: contents.params(r) for r in one.results if r.startswith(f"{name}/") and contents.params(r)}
    everything = {r: contents.params(r) for r in contents.labels if r.startswith(f"{name}/")}
    if _varied(list(everything.values())) != ["l2"] or not trials:
        return None
    lines = {line.row.result: line for line in one.lines}
    rows, drawn = [], []
    for result, params in sorted(everything.items(), key=lambda item: float(item[1]["l2"])):
        found = results.find(result, contents.plans)
        cells = []
        for key in L2_COLUMNS:
            numbers, theirs = (
                found.values(key),
                getattr(lines[result].row, key, None) if result in lines else None,
            )
            cells.append((text_of(key, theirs) if theirs is not None else "", shown(key, numbers)))
            common = {"lambda": f"{float(params['l2']):g}", "quantity": _title(key)}
            drawn += [{**common, "value": number, "who": "ours"} for number in numbers]
            drawn += [{**common, "value": theirs, "who": "report"}] if theirs is not None else []
        rows.append({"lambda": f"{float(params['l2']):g}", "n": len(found.trainings), "cells": cells})
    return {
        "name": name,
        "columns": [_title(key) for key in L2_COLUMNS],
        "rows": rows,
        "spec": _l2_chart(drawn),
    }


def _title(quantity: str) -> str:
    return QUANTITIES[quantity][0] if quantity in QUANTITIES else "gap, train − validation"


def _l2_chart(drawn: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the Vega-Lite chart of an L2 study: quantities over λ, side by side."""
    order = list(dict.fromkeys(row["lambda"] for row in drawn))
    shown = [_title(key) for key in ("test_accuracy", "penalised_test_loss", "kernel_norm", "weight_norm")]
    y = {"field": "value", "type": "quantitative", "title": None, "scale": {"zero": False}}
    x = {"field": "lambda", "type": "ordinal", "sort": order, "title": "λ", "axis": {"labelAngle": 0}}
    who = {
        "field": "who",
        "type": "nominal",
        "title": None,
        "scale": {"domain": ["ours", "report"]},
        "legend": {"orient": "top"},
    }
    tooltip = [
        {"field": key, "type": kind}
        for key, kind in (("lambda", "nominal"), ("who", "nominal"), ("value", "quantitative"))
    ]
    return {
        "data": {"values": [row for row in drawn if row["quantity"] in shown]},
        "facet": {"field": "quantity", "type": "nominal", "sort": shown, "title": None},
        "resolve": {"scale": {"y": "independent"}, "axis": {"x": "independent"}},
        "spec": {
            "width": 195,
            "height": 130,
            "layer": [
                {"mark": "line", "encoding": {"x": x, "y": {**y, "aggregate": "mean"}, "color": who}},
                {
                    "mark": {"type": "point", "filled": True, "size": 60},
                    "encoding": {"x": x, "y": y, "color": who, "tooltip": tooltip},
                },
            ],
        },
    }


def confusion(name: str) -> dict[str, Any] | None:
    """Count the test images by actual and predicted class; None where there is no matrix, or a large one."""
    counts = Counter(confusion_pairs(name))
    classes = sorted(
        {label for pair in counts for label in pair},
        key=lambda text: (len(text), text) if text.isdigit() else (0, text),
    )
    if not classes or len(classes) > MOST_CLASSES:
        return None
    most_wrong = max(
        (count for (actual, predicted), count in counts.items() if actual != predicted), default=1
    )
    wrong = sum(count for (actual, predicted), count in counts.items() if actual != predicted)
    return {
        "name": name,
        "classes": classes,
        "counts": counts,
        "most_wrong": most_wrong,
        "wrong": wrong,
        "images": counts.total(),
    }
