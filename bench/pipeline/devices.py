"""A training on two devices beside the same one on a single device: how far the curves are apart.

    python bench/pipeline/devices.py          (a minute; nothing else should run)

The digits by several recipes, each on one process, on two processes (`devices: 2`; gloo, on the CPU), and on
one process with two threads, which changes the order of additions as well: no result may depend on the number
of devices by more than on that. The table and the figure of docs/scale.md are made from it.
"""

import math
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from bench.options import Parser
from convlab import files, markdown
from convlab.config import load_params
from convlab.config.sweeps import merge
from convlab.data.dataset import save
from convlab.data.preprocess import prepare
from convlab.data.readers.registry import read
from convlab.data.sources import fetch
from convlab.errors import run
from convlab.figures.style import PALETTE, TRAIN, VALIDATION, styled
from convlab.figures.style import save as save_figure
from convlab.pipeline.devices import train_on_devices
from convlab.pipeline.provenance import environment, run_context
from convlab.pipeline.run import Trained, train
from convlab.schema import Experiment
from convlab.train.device import select_device

RESULTS, PAGE, FIGURE = Path("bench/results/devices.json"), Path("docs/scale.md"), Path("docs/devices.png")
EPOCHS = 15
SGD = {"name": "sgd", "momentum": 0.9, "nesterov": True, "decoupled": False}
RECIPES: dict[str, dict[str, Any]] = {
    "the digits as they are: Adam, batch norm, dropout": {},
    "SGD, batch norm, smoothed one-hot labels": {
        "optimizer": SGD,
        "lr": 0.01,
        "labels": "one_hot",
        "label_smoothing": 0.1,
        "model": {"dropout": 0.0},
    },
    "SGD, batch norm, dropout, a running mean of the weights": {
        "optimizer": SGD,
        "lr": 0.01,
        "average": {"name": "ema", "decay": 0.9},
    },
    "Adam, no norm, L2, affine augmentation": {
        "l2": 0.001,
        "model": {"norm": "none"},
        "augment": [
            {"name": "affine", "rotation": 10, "shift": 0.1, "shear": 5, "zoom": 0.1, "border": "zero"}
        ],
    },
}
WAYS: dict[str, dict[str, Any]] = {
    "one": {"devices": 1, "threads": 1},
    "two": {"devices": 2, "threads": 1},
    "two threads": {"devices": 1, "threads": 2},
}
LOSSES = {"training": "train_loss", "validation": "validation_loss"}


def experiment(changes: Mapping[str, Any]) -> Experiment:
    """Return the digits' experiment with changes, without what several devices or a comparison exclude."""
    base = load_params().experiments["digits"].model_dump()
    common = {"epochs": EPOCHS, "early_stopping": None, "portable": False, "iterations": False}
    return Experiment.model_validate(merge(merge(base, common), changes))


def compare(changes: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Train by a recipe in each way; return the curves, how far they are from those of one process, and the
    speeds. `folder`: has the raw digits, and receives the prepared ones."""
    found: dict[str, Trained] = {}
    for way, own in WAYS.items():
        recipe = experiment({**changes, **own})
        prepared = folder / recipe.data_key()
        if not prepared.is_dir():
            save(prepare(read("digits", folder / "raw"), recipe), prepared)
        found[way] = (train_on_devices if recipe.devices > 1 else train)(way, recipe, prepared)
    curves = {way: _losses(trained) for way, trained in found.items()}
    one = curves["one"]
    apart = {way: {name: _furthest(one[name], own[name]) for name in LOSSES} for way, own in curves.items()}
    speeds = {way: trained.timing["images_per_second"] for way, trained in found.items()}
    return {"curves": curves, "apart": apart, "images_per_second": speeds}


def _losses(trained: Trained) -> dict[str, list[float]]:
    return {name: [row[key] for row in trained.curves] for name, key in LOSSES.items()}


def _furthest(some: list[float], others: list[float]) -> float:
    return max(abs(one - other) for one, other in zip(some, others, strict=True))


def table(results: Mapping[str, Any]) -> str:
    """Return the largest differences from the losses of one process, and the speeds, as Markdown."""
    heads = [f"largest difference in {EPOCHS} epochs", "training", "validation"]
    heads += ["by threads: training", "validation", "images/s: one", "two"]
    lines = [
        f"{results['device_name']}, Python {results['python']}, PyTorch {results['torch']}, commit "
        f"{results['git_commit'][:7]}, a load of {results['load']:.0f}; n = 1.",
        "",
        markdown.row(heads),
        "| --- |" + " ---: |" * 6,
    ]
    for name, found in results["recipes"].items():
        apart, speeds = found["apart"], found["images_per_second"]
        cells = [f"{apart[way][loss]:.0e}" for way in ("two", "two threads") for loss in LOSSES]
        lines.append(markdown.row([name, *cells, *(f"{speeds[way]:,.0f}" for way in ("one", "two"))]))
    return "\n".join(lines) + "\n"


def figure(results: Mapping[str, Any]) -> Figure:
    """Draw both curves of the first recipe, one upon the other, and how far all recipes' are apart."""
    drawing, (above, beside) = plt.subplots(1, 2, figsize=(9, 3.4))
    epochs = range(1, EPOCHS + 1)
    name, found = next(iter(results["recipes"].items()))
    for loss, color in zip(LOSSES, (TRAIN, VALIDATION), strict=True):
        one, two = (found["curves"][way][loss] for way in ("one", "two"))
        above.plot(epochs, one, color=color, label=f"{loss}, one process")
        above.plot(epochs, two, "o", color=color, fillstyle="none", label=f"{loss}, two processes")
    above.set(title=name, xlabel="epoch", ylabel="loss", yscale="log")
    above.legend()
    for (name, found), color in zip(results["recipes"].items(), PALETTE, strict=False):
        one, two = (found["curves"][way]["training"] for way in ("one", "two"))
        apart = [abs(a - b) or math.nan for a, b in zip(one, two, strict=True)]
        beside.plot(epochs, apart, ".-", color=color, label=name)
    beside.set(title="difference of the training losses", xlabel="epoch", yscale="log")
    drawing.legend(*beside.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return drawing


def main() -> None:
    """Train, and write table and figure."""
    Parser(description=__doc__.split("\n")[0]).parse_args()
    results: dict[str, Any] = environment(select_device("cpu")) | {"git_commit": run_context()["git_commit"]}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fetch("digits", folder / "raw", mirror=None)
        results["recipes"] = {name: compare(changes, folder) for name, changes in RECIPES.items()}
    results["load"] = os.getloadavg()[0]
    print(table(results))
    files.write_json(RESULTS, results)
    markdown.rewrite(PAGE, "devices", table(results))
    with styled():
        save_figure(figure(results), FIGURE)


if __name__ == "__main__":
    run(main)
