"""What a report's page shows of a sweep or a confusion matrix: a grid, a study of λ, a table of errors."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import mean
from typing import Any

from convlab.book.contents import Chapter, Contents
from convlab.figures.cells import MOST_CLASSES
from convlab.results import figure_data, mean_text
from convlab.results.folders import confusions
from convlab.results.quantities import QUANTITIES, text_of

GRID = ("model.strides", "model.kernels")
LEGEND = {"orient": "top", "labelLimit": 400, "columns": 1, "symbolOpacity": 1}
PAIRS = {  # of pairs.json
    "taken_for": "wrong image – right one of the class it was taken for",
    "own_class": "wrong image – right one of its own class",
    "two_right": "two right images of the two classes",
}
L2_COLUMNS = (
    "test_accuracy",
    "test_loss",
    "penalised_test_loss",
    "kernel_norm",
    "weight_norm",
    "gap",
    "epochs",
)

SLIDER = ("kernel_norm", "weight_norm", "test_accuracy", "test_loss")


def grid(contents: Contents, one: Chapter, name: str) -> dict[str, Any] | None:
    """Lay out a sweep of strides, kernels or both as a heat map of test accuracy; None for any other sweep.

    Trials that also vary something else are in the tables alone.
    """
    trials = _alike(_trials(contents, name, one.results))
    varied = set(_varied(list(trials.values())))
    if not varied or not varied <= set(GRID):
        return None
    theirs = {line.row.result: line.row.test_accuracy for line in one.lines}
    cells: dict[tuple[str, str], dict[str, Any]] = {}
    for result, params in trials.items():
        ours = contents.found(result).values("test_accuracy")
        strides, kernels = (params.get(key, "–") for key in GRID)  # a network of one's own may lack one
        cells[strides, kernels] = {
            "result": result,
            "ours": ours,
            "theirs": theirs.get(result),
        }
    means = [mean(cell["ours"]) for cell in cells.values() if cell["ours"]]
    low, high = min(means), max(means)
    for cell in cells.values():
        cell["share"] = (mean(cell["ours"]) - low) / (high - low) if cell["ours"] and high > low else 0.0
        cell["text"] = mean_text("test_accuracy", cell["ours"])
        cell["their_text"] = text_of("test_accuracy", cell["theirs"]) if cell["theirs"] else ""
    return {
        "name": name,
        "rows": sorted({row for row, _ in cells}, key=_sizes),
        "columns": sorted({column for _, column in cells}, key=_sizes),
        "cells": cells,
    }


def _sizes(text: str) -> list[int]:
    """Return the strides or kernels of a trial as numbers, by which rows and columns are ordered."""
    return [int(number) for number in re.findall(r"\d+", text)]


def _trials(contents: Contents, name: str, among: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return the configurations of those trials of a sweep that have run, by result."""
    return {
        result: params
        for result in among
        if result.startswith(f"{name}/") and (params := contents.params(result))
    }


def _alike(trials: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    """Return the trials that differ only in strides and kernels, if they are most of a sweep."""
    groups: dict[tuple[tuple[str, str], ...], dict[str, dict[str, str]]] = {}
    for result, params in trials.items():
        rest = tuple((key, text) for key, text in params.items() if key not in GRID)
        groups.setdefault(rest, {})[result] = params
    largest = max(groups.values(), key=len, default={})
    return largest if 2 * len(largest) > len(trials) else {}


def _varied(several: Sequence[dict[str, str]]) -> list[str]:
    """Name the keys in which configurations differ."""
    keys = dict.fromkeys(key for params in several for key in params)
    return [key for key in keys if len({params.get(key) for params in several}) > 1]


def l2(contents: Contents, one: Chapter, name: str) -> dict[str, Any] | None:
    """Lay out a sweep that varies λ alone: its rows, and what the chart draws; None for any other sweep."""
    everything = _trials(contents, name, contents.labels)
    if _varied(list(everything.values())) != ["l2"] or not _trials(contents, name, one.results):
        return None
    lines = {line.row.result: line for line in one.lines}
    rows, drawn = [], []
    for result, params in sorted(everything.items(), key=lambda item: float(item[1]["l2"])):
        found = contents.found(result)
        cells = []
        for key in L2_COLUMNS:
            numbers, theirs = (
                found.values(key),
                getattr(lines[result].row, key, None) if result in lines else None,
            )
            cells.append((text_of(key, theirs) if theirs is not None else "", mean_text(key, numbers)))
            common = {"lambda": penalty_text(float(params["l2"])), "quantity": QUANTITIES[key].title}
            drawn += [{**common, "value": number, "who": "ours"} for number in numbers]
            drawn += [{**common, "value": theirs, "who": "report"}] if theirs is not None else []
        means = [mean(found.values(key)) if found.values(key) else None for key in SLIDER]
        rows.append(
            {
                "lambda": penalty_text(float(params["l2"])),
                "n": len(found.trainings),
                "cells": cells,
                "means": means,
                "result": result,
            }
        )
    return {
        "name": name,
        "slider": {"rows": _slider(rows), "layers": _histograms(name, rows)},
        "columns": [QUANTITIES[key].title for key in L2_COLUMNS],
        "rows": rows,
        "spec": _l2_chart(drawn),
    }


def penalty_text(number: float) -> str:
    """Return λ as the reports write it, and short enough for an axis: 0, 1e-5, 5e-4."""
    mantissa, _, exponent = f"{number:e}".partition("e")
    return f"{float(mantissa):g}e{int(exponent)}" if number else "0"


def _slider(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return for each λ what stands beside the slider: quantities as text, and their share of the largest."""
    most = [max((row["means"][place] or 0.0) for row in rows) for place in range(len(SLIDER))]
    return [
        {
            "lambda": row["lambda"],
            "quantities": [
                {
                    "title": QUANTITIES[key].title,
                    "text": text_of(key, value),
                    "share": value / top if top else 0.0,
                }
                for key, value, top in zip(SLIDER, row["means"], most, strict=True)
                if value is not None
            ],
        }
        for row in rows
    ]


def _histograms(name: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the histogram of each layer, its counts in the order of the rows; none where not all are drawn.

    The stage that draws a sweep's figures counts the weights; earlier ones did not.
    """
    layers = figure_data.weight_counts(name)
    trials = [row["result"].partition("/")[2] for row in rows]
    if not all(trial in layer.counts for layer in layers for trial in trials):
        return []
    return [
        {"name": layer.name, "reach": layer.reach, "counts": [layer.counts[trial] for trial in trials]}
        for layer in layers
    ]


def _l2_chart(drawn: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the Vega-Lite chart of an L2 study: quantities over λ, side by side."""
    order = list(dict.fromkeys(row["lambda"] for row in drawn))
    shown = [
        QUANTITIES[key].title
        for key in ("test_accuracy", "penalised_test_loss", "kernel_norm", "weight_norm")
    ]
    y: dict[str, Any] = {"field": "value", "type": "quantitative", "title": None}
    y |= {"scale": {"zero": False}, "axis": {"tickCount": 5}}
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


def distances(name: str) -> dict[str, Any] | None:
    """Return the chart of how far pairs of images are apart at each layer; None where there are none."""
    found = figure_data.pairs(name)
    if found is None:
        return None
    drawn = [
        {"layer": layer, "pairs": title, **numbers.model_dump()}
        for layer, kinds in found.layers.items()
        for key, title in PAIRS.items()
        if (numbers := getattr(kinds, key)) is not None
    ]
    x = {"field": "layer", "type": "ordinal", "sort": None, "title": None, "axis": {"labelAngle": -40}}
    color = {
        "field": "pairs",
        "type": "nominal",
        "title": None,
        "legend": LEGEND,
    }
    color |= {"scale": {"domain": list(PAIRS.values())}}
    y = {"type": "quantitative", "title": "distance, relative", "scale": {"zero": False}}
    numbers = [
        {"field": key, "type": "quantitative", "format": ".3f", "title": key.replace("_", " ")}
        for key in ("first_quartile", "median", "third_quartile")
    ]
    tooltip = [{"field": "layer"}, {"field": "pairs"}, *numbers]
    spec = {
        "data": {"values": drawn},
        "width": "container",
        "height": 240,
        "encoding": {"x": x, "color": color},
        "layer": [
            {
                "mark": {"type": "area", "opacity": 0.18},
                "encoding": {"y": {**y, "field": "first_quartile"}, "y2": {"field": "third_quartile"}},
            },
            {
                "mark": {"type": "line", "point": {"size": 60, "filled": True}},
                "encoding": {"y": {**y, "field": "median"}, "tooltip": tooltip},
            },
        ],
    }
    return {"name": name, "spec": spec, "pairs": found.pairs, "unit": found.unit}


def confusion(name: str) -> dict[str, Any] | None:
    """Count the test images by actual and predicted class; None if there is no matrix.

    `drawn_only`: it has too many classes for a table.
    """
    counts = Counter(confusions(name))
    classes = sorted(
        {label for pair in counts for label in pair},
        key=lambda text: (len(text), text) if text.isdigit() else (0, text),
    )
    if not classes:
        return None
    most_wrong = max(
        (count for (actual, predicted), count in counts.items() if actual != predicted), default=1
    )
    wrong = sum(count for (actual, predicted), count in counts.items() if actual != predicted)
    return {
        "name": name,
        "drawn_only": len(classes) > MOST_CLASSES,
        "classes": classes,
        "counts": counts,
        "most_wrong": most_wrong,
        "wrong": wrong,
        "images": counts.total(),
    }
