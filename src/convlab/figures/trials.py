"""The results of a sweep's trials side by side: a grid of two keys as a table, anything else as points.

A point of the sweep that was trained with several seeds shows their mean and standard deviation.
"""

from statistics import mean, stdev
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from convlab.figures.style import MAP, PALETTE, count_of

Rows = list[dict[str, Any]]
BARS: dict[str, Any] = {"markersize": 8, "linewidth": 1, "capsize": 4, "elinewidth": 1.5}
ACROSS = 42  # characters that fit side by side below a panel
CROWD = 10  # points: from here on their labels are vertical
LONG = 24  # characters of a value: a longer one fits on no axis
QUANTITIES = {  # what is shown of a trial → where its row has it
    "test accuracy": lambda row: row["test"]["accuracy"],
    "test loss": lambda row: row["test"]["loss"],
    "kernel norm √Σw²": lambda row: row["kernel_norm"],
}


def trial_table(title: str, rows: Rows) -> Figure:
    """Draw the test accuracy, the test loss and the kernel norm of every point of a sweep.

    Args:
        title: of the figure.
        rows: of trainings.json: one per point and seed, those of a point with the same `name`.
    """
    points: dict[str, Rows] = {}
    for row in rows:
        points.setdefault(row["name"], []).append(row)
    keys = list(rows[0]["overrides"])
    values = [_text(value) for row in rows for value in row["overrides"].values()]
    if any(list(row["overrides"]) != keys for row in rows) or max(map(len, values), default=0) > LONG:
        keys = []  # named variants, with keys of their own, or with whole sections as values
    seeds = max(map(len, points.values()))
    epochs = sorted({row["epochs"] for row in rows if "epochs" in row})
    span = "".join(count_of(number, "epoch", "epochs") for number in epochs)
    span = f"{epochs[0]} to {epochs[-1]} epochs" if len(epochs) > 1 else span
    title += f" · mean ± standard deviation of {seeds} seeds" if seeds > 1 else " · one seed"
    title += f", {span}" if span else ""
    if len(keys) == 2:
        return _grid(title, points, keys)
    return _points(title, points, keys) if len(keys) == 1 else _variants(title, points)


def _grid(title: str, points: dict[str, Rows], keys: list[str]) -> Figure:
    firsts = [rows[0] for rows in points.values()]
    down, across = (list(dict.fromkeys(_text(row["overrides"][key]) for row in firsts)) for key in keys)
    figure, axes = plt.subplots(figsize=(2.1 * len(across) + 2.4, 1.1 * len(down) + 1.6))
    accuracy = np.full((len(down), len(across)), np.nan)
    for rows in points.values():
        overrides = rows[0]["overrides"]
        at = down.index(_text(overrides[keys[0]])), across.index(_text(overrides[keys[1]]))
        finished = _finished(rows)
        text = _unfinished(rows)
        if finished:
            (accuracy[at], spread), (loss, loss_spread) = _moments(finished, "test accuracy", "test loss")
            text = f"{accuracy[at]:.2%}" + (f" ± {spread * 100:.2f}" if len(finished) > 1 else "")
            text += f"\nloss {loss:.4f}" + (f" ± {loss_spread:.4f}" if len(finished) > 1 else "")
            text += f"\n{_unfinished(rows)}" if _unfinished(rows) else ""
        box = {"color": "white", "alpha": 0.75, "pad": 2}
        axes.text(at[1], at[0], text, ha="center", va="center", bbox=box)
    image = axes.imshow(accuracy, cmap=MAP, aspect="auto")
    axes.set_xticks(range(len(across)), across)
    axes.set_yticks(range(len(down)), down)
    axes.set(xlabel=keys[1].split(".")[-1], ylabel=keys[0].split(".")[-1])
    axes.grid(False)
    figure.colorbar(image, ax=axes, label="test accuracy", format=PercentFormatter(1.0))
    figure.suptitle(title, fontsize=11)
    return figure


def _points(title: str, points: dict[str, Rows], keys: list[str]) -> Figure:
    """Draw the values of one key from left to right."""
    figure, grid = plt.subplots(1, len(QUANTITIES), figsize=(12, 3.6))
    labels = [_labelled(_text(rows[0]["overrides"][keys[0]]), rows) for rows in points.values()]
    longest = max(len(line) for label in labels for line in label.split("\n"))
    style: dict[str, Any] = {}
    if len(labels) * (longest + 2) > ACROSS:
        slant = {"rotation": 45} if len(labels) < CROWD else {"rotation": 90, "va": "center"}
        style = {"ha": "right", "rotation_mode": "anchor", **slant}
    for axes, quantity, color in zip(grid, QUANTITIES, PALETTE, strict=False):
        means, spreads = _columns(points, quantity)
        axes.errorbar(range(len(labels)), means, spreads, fmt="o:", color=color, **BARS)
        axes.set_xticks(range(len(labels)), labels, **style)
        axes.set(title=quantity, xlabel="λ" if keys == ["l2"] else keys[0].split(".")[-1])
        axes.set_xlim(-0.4, len(labels) - 0.6)
    grid[0].yaxis.set_major_formatter(PercentFormatter(1.0))
    figure.suptitle(title, fontsize=11)
    return figure


def _variants(title: str, points: dict[str, Rows]) -> Figure:
    """Draw named variants from top to bottom: there a name can be long."""
    size = (12, 0.42 * len(points) + 1.5)
    figure, grid = plt.subplots(1, len(QUANTITIES), figsize=size, sharey=True)
    labels = [_labelled(name, rows) for name, rows in points.items()]
    for axes, quantity, color in zip(grid, QUANTITIES, PALETTE, strict=False):
        means, spreads = _columns(points, quantity)
        axes.errorbar(means, range(len(labels)), xerr=spreads, fmt="o", color=color, **BARS)
        axes.set(title=quantity)
        axes.xaxis.set_major_locator(MaxNLocator(5))
    grid[0].set_yticks(range(len(labels)), labels)
    grid[0].set_ylim(len(labels) - 0.5, -0.5)
    grid[0].xaxis.set_major_formatter(PercentFormatter(1.0))
    figure.suptitle(title, fontsize=11)
    return figure


def _columns(points: dict[str, Rows], quantity: str) -> tuple[list[float], list[float] | None]:
    """Return each point's mean, NaN where nothing finished, and its deviation, if there are several seeds."""
    moments = [_moments(_finished(rows), quantity)[0] for rows in points.values()]
    several = any(len(rows) > 1 for rows in points.values())
    return [middle for middle, _ in moments], [spread for _, spread in moments] if several else None


def _moments(rows: Rows, *quantities: str) -> list[tuple[float, float]]:
    """Return mean and standard deviation over the rows, of each quantity."""
    found = []
    for quantity in quantities:
        values = [QUANTITIES[quantity](row) for row in rows]
        found.append((mean(values) if values else np.nan, stdev(values) if len(values) > 1 else 0.0))
    return found


def _finished(rows: Rows) -> Rows:
    return [row for row in rows if row["status"] == "finished"]


def _unfinished(rows: Rows) -> str:
    """Return the state of the seeds that did not finish: `diverged`, `1 of 3 diverged`, or nothing."""
    statuses = [row["status"] for row in rows if row["status"] != "finished"]
    if not statuses:
        return ""
    words = " and ".join(dict.fromkeys(statuses))
    return words if len(statuses) == len(rows) else f"{len(statuses)} of {len(rows)} {words}"


def _labelled(name: str, rows: Rows) -> str:
    return f"{name}\n({_unfinished(rows)})" if _unfinished(rows) else name


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
