"""The page of a report: its table beside ours, curves, studies, errors, figures, timings."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from convlab.book import contents as source
from convlab.book import studies
from convlab.book.contents import Chapter, Contents
from convlab.book.images import SECTIONS, Images
from convlab.book.layers import layers
from convlab.book.words import SYMBOLS, facts, joined, states
from convlab.results import claims, folders, mean_text, rerun
from convlab.results.quantities import QUANTITIES, text_of
from convlab.results.reports import Line, points
from convlab.results.tables import columns_of, noted

SHOWN_AT_FIRST = 4  # curves
STEPS = 300  # points of a curve over steps: each the mean of as many consecutive steps as that takes


def context(contents: Contents, one: Chapter, images: Images) -> dict[str, Any]:
    """Return what the template of a report's page needs; its figures are put into the book's folder."""
    whole = [name for name in one.names if not folders.load(name).problem]
    pictures = [image for name in whole for image in images.of(name)]
    drawn = {image.name: image.address for image in pictures if Path(image.address).stem == "confusion"}
    table = _table(one) if one.lines else _plain(contents, one)
    return {
        "chapter": one,
        "hardware": (one.report.hardware or "hardware not stated") if one.report else None,
        "goals": one.goals,
        "table": table,
        "states": states(one),
        "prose": source.prose(one.name),
        "curves": list(_curves(contents, one)),
        "shown_at_first": SHOWN_AT_FIRST,
        "grids": [found for name in one.names if (found := studies.grid(contents, one, name))],
        "studies": [found for name in one.names if (found := studies.l2(contents, one, name))],
        "matrices": [
            {
                **found,
                "cells": images.cells(name),
                "figure": drawn.get(name),
                "command": rerun.training(name, contents.settings),
            }
            for name in whole
            if (found := studies.confusion(name))
        ],
        "distances": [found for name in whole if (found := studies.distances(name))],
        "sections": {
            title: own
            for key, title in SECTIONS.items()
            if (own := [i for i in pictures if i.section == key])
        },
        "layers": [found for name in one.names if (found := layers(name))],
        "timings": list(_timings(contents, one)),
        "configurations": {
            name: contents.params(name) for name in one.results if "/" not in name and contents.params(name)
        },
        "claims": [{**c, "shown": claims.shown(c), "symbol": SYMBOLS[c["verdict"]]} for c in one.claims],
    }


def _table(one: Chapter) -> dict[str, Any]:
    """Lay out the table of a report: a cell is (theirs, ours), "" where there is none."""
    columns, rare = columns_of(one.lines)
    rows = []
    for line in one.lines:
        cells = [_cell(line, key) for key in columns]
        notes = [
            f"{QUANTITIES[key].title} {theirs or '–'} / {ours or '–'}"
            for key in noted(line, rare)
            for theirs, ours in [_cell(line, key)]
        ]
        rows.append(
            {
                "what": line.row.what,
                "result": line.row.result,
                "status": line.ours.status if line.row.result else "",
                "cells": cells,
                "difference": points(line.difference(columns[0])),
                "n": len(line.ours.trainings),
                "epochs": _epochs(line),
                "facts": facts(line),
                "notes": [text for text in (*notes, line.row.note, line.row.reason) if text],
            }
        )
    return {"columns": [QUANTITIES[key].title for key in columns], "rows": rows, "theirs": True}


def _cell(line: Line, quantity: str) -> tuple[str, str]:
    return line.theirs(quantity), mean_text(quantity, line.ours.values(quantity))


def _epochs(line: Line) -> tuple[str, str]:
    theirs, ours = _cell(line, "epochs")
    return theirs, ours + line.ours.of_planned


def _plain(contents: Contents, one: Chapter) -> dict[str, Any]:
    """Lay out the results that no report has, in a table like the others."""
    columns = ("test_accuracy", "test_loss", "validation_accuracy", "running_accuracy", "parameters")
    rows = []
    for result in one.results:
        found = contents.found(result)
        cells = [("", mean_text(key, found.values(key))) for key in columns]
        epochs = mean_text("epochs", found.values("epochs")) + found.of_planned
        rows.append(
            {
                "what": result,
                "result": result,
                "status": found.status,
                "cells": cells,
                "difference": "–",
                "n": len(found.trainings),
                "epochs": ("", epochs),
                "facts": found.hardware(),
                "notes": [],
            }
        )
    return {"columns": [QUANTITIES[key].title for key in columns], "rows": rows, "theirs": False}


def _curves(contents: Contents, one: Chapter) -> Iterator[dict[str, str]]:
    """Yield the results whose curves a page shows, under their rows' names; one training is shown once."""
    names: dict[str, list[str]] = {}
    rows = {line.row.result: line.row.what for line in reversed(one.lines)}
    for result in one.results:
        if result in contents.same:
            names.setdefault(contents.same[result], []).append(rows.get(result, result))
    for result, labels in names.items():
        yield {"result": result, "label": " = ".join(dict.fromkeys(labels))}


def data(contents: Contents) -> dict[str, Any]:
    """Return the curves of every result, for the script that draws them: for each seed a list per column, and
    the epoch whose weights were kept; of an experiment its steps, or the command that brings them."""
    names = dict.fromkeys(result.partition("/")[0] for result in contents.labels)
    seeds = {result: own for name in names for result, own in source.curves(name).items()}
    best = {
        (name if one["name"] == name else f"{name}/{one['name']}", one["seed"]): one["best_epoch"]
        for name in names
        for one in folders.load(name).trainings
        if one["status"] == "finished"
    }
    steps = {name: {"steps": found} for name in names if (found := source.steps(name, STEPS))}
    absent = {
        name: {"steps_by": rerun.training(name, contents.settings)}
        for name in names
        if name not in steps and contents.params(name).get("iterations") == "true"
    }
    return {
        result: {
            "label": label,
            "seeds": [
                {"best": best.get((result, rows[0]["seed"]), len(rows)), **_columns(rows)}
                for rows in seeds.get(result, [])
            ],
        }
        | steps.get(result, absent.get(result, {}))
        for result, label in contents.labels.items()
    }


def _columns(curves: Sequence[dict[str, Any]]) -> dict[str, Any]:
    columns = {key: [float(f"{row[key]:.5g}") for row in curves] for key in source.CURVES}
    return {"seed": curves[0]["seed"], **columns}


def _timings(contents: Contents, one: Chapter) -> Iterator[dict[str, str]]:
    """Yield how long each result took, on which hardware, and when; each training is listed once."""
    for result in dict.fromkeys(contents.same[result] for result in one.results if result in contents.same):
        rows = contents.of(result)
        if rows["seconds"].isna().all():
            continue
        yield {
            "result": result,
            "seconds": mean_text("seconds", list(rows["seconds"].dropna())),
            "per_epoch": text_of("seconds_per_epoch", rows["seconds_per_epoch"].mean()),
            "images": "–"
            if rows["images_per_second"].isna().all()
            else f"{rows['images_per_second'].mean():,.0f}",
            "memory": "–"
            if rows["peak_memory_mib"].isna().all()
            else f"{rows['peak_memory_mib'].max():,.0f}",
            "at_once": "–" if rows["at_once"].isna().all() else f"{rows['at_once'].max():.0f}",
            "device": joined(contents.found(result).hardware()),
            "date": joined(rows["started_at"].dropna().str[:10]),
            "commits": joined(rows["git_commit"].dropna().str[:7]),
        }
