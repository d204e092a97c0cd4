"""The front page's chart: accuracy against seconds, ours and the reports'."""

import math
from collections.abc import Iterator
from typing import Any

from convlab.book.contents import Contents
from convlab.book.words import joined
from convlab.results import text_of

# The chart's drawing area, in units of its viewBox
LEFT, TOP, WIDTH, HEIGHT = 62, 12, 800, 330
ACCURACIES = (0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.997, 0.999)
COLOURS = 10  # of series, in static/book.css
SECONDS = (1, 3, 10, 30, 100, 300, 1000, 3000, 10000, 30000, 100000)
SECONDS_TEXT = ("1 s", "3 s", "10 s", "30 s", "100 s", "5 min", "17 min", "50 min", "2.8 h", "8.3 h", "28 h")


def chart(contents: Contents) -> dict[str, Any]:
    """Lay out test accuracy against seconds of training, the error and the time on logarithmic axes."""
    dots = [*_ours(contents), *_theirs(contents)]
    if not dots:
        return {"dots": []}
    x = _axis([dot["seconds"] for dot in dots], SECONDS)
    y = _axis(
        [_error(dot["accuracy"]) for dot in dots], tuple(1 - accuracy for accuracy in reversed(ACCURACIES))
    )
    names = dict.fromkeys(dot["dataset"] for dot in dots)
    datasets = {name: place % COLOURS for place, name in enumerate(names)}
    for dot in dots:
        dot["x"] = round(LEFT + WIDTH * _place(dot["seconds"], *x), 1)
        dot["y"] = round(TOP + HEIGHT * _place(_error(dot["accuracy"]), *y), 1)
        dot["series"] = datasets[dot["dataset"]]
        accuracy, seconds = text_of("test_accuracy", dot["accuracy"]), text_of("seconds", dot["seconds"])
        dot["title"] = f"{dot['label']}: {accuracy} in {seconds} s"
    return {
        "dots": sorted(dots, key=lambda dot: dot["ours"]),
        "datasets": datasets,
        "box": (LEFT, TOP, WIDTH, HEIGHT),
        "x_ticks": [
            (round(LEFT + WIDTH * _place(tick, *x), 1), text)
            for tick, text in zip(SECONDS, SECONDS_TEXT, strict=True)
            if x[0] <= tick <= x[1]
        ],
        "y_ticks": [
            (round(TOP + HEIGHT * _place(1 - tick, *y), 1), f"{100 * tick:g}%")
            for tick in ACCURACIES
            if y[0] <= 1 - tick <= y[1]
        ],
    }


def _ours(contents: Contents) -> Iterator[dict[str, Any]]:
    pages = {result: one.name for one in reversed(contents.chapters) for result in one.results}
    for result, rows in contents.trainings.groupby("result", sort=False):
        name = str(result)
        seconds = rows["seconds"].mean()
        if contents.same[name] == name and seconds > 0:
            yield {
                "label": contents.labels[name],
                "ours": True,
                "page": pages[name],
                "seconds": float(seconds),
                "accuracy": float(rows["test_accuracy"].mean()),
                "dataset": contents.params(name).get("dataset", "–"),
                "device": f"{joined(contents.found(name).hardware())}, n = {len(rows)}",
            }


def _theirs(contents: Contents) -> Iterator[dict[str, Any]]:
    for one in contents.chapters:
        for line in one.lines:
            row = line.row
            if row.seconds and row.test_accuracy and one.report and row.result in contents.labels:
                yield {
                    "label": f"{one.name} {row.what}, the report's",
                    "ours": False,
                    "page": one.name,
                    "seconds": row.seconds,
                    "accuracy": row.test_accuracy,
                    "dataset": contents.params(str(row.result)).get("dataset", "–"),
                    "device": one.report.hardware or "hardware not stated",
                }


def _error(accuracy: float) -> float:
    """Return an error that has a logarithm: that of all images right is drawn as one in 10,000 wrong."""
    return max(1 - accuracy, 1e-4)


def _axis(numbers: list[float], ticks: tuple[float, ...]) -> tuple[float, float]:
    """Return the ends of a logarithmic axis: a little wider than the numbers, with two ticks at least."""
    low, high = min(numbers) / 1.25, max(numbers) * 1.25
    inside = [tick for tick in ticks if low <= tick <= high]
    if len(inside) < 2:
        low = min(low, max((tick for tick in ticks if tick <= low), default=ticks[0]))
        high = max(high, min((tick for tick in ticks if tick >= high), default=ticks[-1]))
    return low, high


def _place(number: float, low: float, high: float) -> float:
    """Return where a number lies on a logarithmic axis, from 0 to 1."""
    return math.log(number / low) / math.log(high / low)
