"""The results of a sweep's trials side by side: a grid of two keys as a table, anything else as points."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from convlab.figures.style import MAP, PALETTE


def trial_table(title: str, rows: list[dict[str, Any]]) -> Figure:
    """Draw the test accuracy and loss (and for an L2 study the weight norm) of every trial."""
    keys = list(rows[0]["overrides"])
    if any(list(row["overrides"]) != keys for row in rows):
        keys = []  # named variants: each has keys of its own
    epochs = sorted({row["epochs"] for row in rows if "epochs" in row})
    span = f"{epochs[0]} to {epochs[-1]}" if len(epochs) > 1 else "".join(map(str, epochs))
    title = f"{title} · one seed, {span} epochs"
    return _grid(title, rows, keys) if len(keys) == 2 else _points(title, rows, keys)


def _grid(title: str, rows: list[dict[str, Any]], keys: list[str]) -> Figure:
    down, across = (list(dict.fromkeys(_text(row["overrides"][key]) for row in rows)) for key in keys)
    figure, axes = plt.subplots(figsize=(2.1 * len(across) + 2.4, 1.1 * len(down) + 1.6))
    accuracy = np.full((len(down), len(across)), np.nan)
    for row in rows:
        at = (down.index(_text(row["overrides"][keys[0]])), across.index(_text(row["overrides"][keys[1]])))
        text = row["status"]
        if row["status"] == "finished":
            accuracy[at] = row["test"]["accuracy"]
            text = f"{row['test']['accuracy']:.2%}\nloss {row['test']['loss']:.4f}"
        axes.text(
            at[1], at[0], text, ha="center", va="center", bbox={"color": "white", "alpha": 0.75, "pad": 2}
        )
    image = axes.imshow(accuracy, cmap=MAP, aspect="auto")
    axes.set_xticks(range(len(across)), across)
    axes.set_yticks(range(len(down)), down)
    axes.set(xlabel=keys[1].split(".")[-1], ylabel=keys[0].split(".")[-1])
    axes.grid(False)
    figure.colorbar(image, ax=axes, label="test accuracy", format=PercentFormatter(1.0, decimals=1))
    figure.suptitle(title, fontsize=11)
    return figure


def _points(title: str, rows: list[dict[str, Any]], keys: list[str]) -> Figure:
    finished = [row for row in rows if row["status"] == "finished"]
    labels = [_text(row["overrides"][keys[0]]) if len(keys) == 1 else row["name"] for row in finished]
    quantities = {
        "test accuracy": [row["test"]["accuracy"] for row in finished],
        "test loss": [row["test"]["loss"] for row in finished],
        "weight norm √Σw²": [row["weight_norm"] for row in finished],
    }
    figure, grid = plt.subplots(1, len(quantities), figsize=(12, 3.6))
    for axes, (quantity, values), color in zip(grid, quantities.items(), PALETTE, strict=False):
        axes.plot(labels, values, "o:", color=color, markersize=8, linewidth=1)
        axes.set(title=quantity, xlabel="λ" if keys == ["l2"] else "")
        axes.tick_params(axis="x", rotation=0 if max(map(len, labels), default=0) < 9 else 30)
    grid[0].yaxis.set_major_formatter(PercentFormatter(1.0, decimals=1))
    figure.suptitle(title, fontsize=11)
    return figure


def _text(value: Any) -> str:
    return (
        ", ".join(map(str, value))
        if isinstance(value, list)
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
    )
