"""A small set of results for what reads them all: an experiment of two seeds, a sweep of three, a report.

The numbers are made up, and differ from seed to seed; nothing is trained.
"""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from params import ROOT, write
from result import clock, evaluation, put, training

from convlab import files
from convlab.config import load_params
from convlab.pipeline.made_from import TrainingRecord
from convlab.schema import Experiment
from convlab.seeds import derive_seed

REPORTS = """
R0:
  title: Digits & <b>more</b>
  hardware: null
  rows:
  - {headline: true, what: baseline, result: digits, test_accuracy: 0.97, seconds: 12.0, epochs: 40}
  - {what: stride 2, result: strides/strides-2-1_l2-0.0, test_accuracy: 0.9}
  - {what: never, result: fashion, test_accuracy: 0.9235}
"""
PAGE = """# Reports

## R0

The network's widths are a *reading*, see [there](elsewhere.md), [as above](#r0);
[curves](../plots/a.png), [bench/b.md](../bench/b.md#on-a-gpu).

<!-- R0 -->
| a table |
<!-- /R0 -->
"""
EPOCHS = 4


def build(folder: Path, changes: dict[str, Any] | None = None) -> None:
    """Write it into `folder`, which is the working directory."""
    changes = {
        "early_stopping": None,
        "experiments/digits/seeds": 2,
        "sweeps/strides/seeds": 3,
        **(changes or {}),
    }
    params = load_params(write(folder, changes))
    files.write_text(Path("reports.yaml"), REPORTS)
    files.write_text(Path("docs/reports.md"), PAGE)
    Path(".dvc/plots").mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / ".dvc/plots/page.html", ".dvc/plots/page.html")

    seeds = params.experiments["digits"].each_seed()
    trainings = [_training(one, "digits", "digits") for one in seeds]
    clocks = [_clock(one) for one in trainings]
    scores = [evaluation(one, **_scores(one["name"], one["seed"])) for one in trainings]
    put(trainings, scores, files.by_seed(clocks))
    files.write_csv(files.PLOTS / "digits/curves.csv", [row for one in seeds for row in curves(one)])
    matrix = [{"actual": str(n % 3), "predicted": str(n % 3 if n % 7 else (n + 1) % 3)} for n in range(60)]
    files.write_csv(files.PLOTS / "digits/confusion.csv", matrix)
    picture(files.PLOTS / "digits/figures/wrong.png")
    distance = {"first_quartile": 0.4, "median": 0.5, "third_quartile": 0.6}
    layers = {layer: {"taken_for": distance, "own_class": distance} for layer in ("input", "block1_conv1")}
    pairs = {"wrong_samples": 9, "pairs": 9, "unit": "distance / median distance", "layers": layers}
    files.write_json(files.PLOTS / "digits/figures/pairs.json", pairs)

    rows, timings, drawn = [], {}, []
    for trial in params.sweeps["strides"].trials:
        one = trial.experiment
        record = _training(one, "strides", trial.name, **_scores(trial.name, one.seed))
        rows.append(record)
        timings[files.training(one.seed, trial.name)] = _clock(record)
        drawn += [{"trial": trial.name, **row} for row in curves(one)]
    put(rows, timing=timings)
    files.write_csv(files.PLOTS / "strides/curves.csv", drawn)


def picture(path: Path) -> None:
    """Write a small PNG."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.arange(48 * 64, dtype=np.uint8).reshape(48, 64)).save(path)


def _noise(name: str, seed: int) -> float:
    return derive_seed(seed, name) % 1000 / 1e5


def _scores(name: str, seed: int) -> dict[str, Any]:
    """Make up what a training scores: less with a stride of 2."""
    noise = _noise(name, seed)
    accuracy = 0.97 - (0.05 if "strides-2" in name else 0.0) + noise
    return {
        split: {"loss": 0.1 + noise, "accuracy": accuracy, "images": 360}
        for split in ("train", "validation", "test")
    }


def _training(one: Experiment, of: str, name: str, **more: Any) -> TrainingRecord:
    noise = _noise(name, one.seed)
    numbers = {"epochs": EPOCHS, "kernel_norm": 3.0 + noise, "weight_norm": 12.0 + noise}
    return training(of, one.seed, name, configuration=one.model_dump(mode="json"), **numbers, **more)


def _clock(record: TrainingRecord) -> dict[str, Any]:
    """Make up the timing of a training."""
    when = {"started_at": "2026-01-02T03:04:05+00:00", "git_commit": "0123456789", "torch": "2"}
    numbers = {"images_per_second": 100.0, "peak_memory_mib": 50.0, "at_once": 1}
    return clock(record, 8.0, **when, **numbers, epoch_seconds=[2.0] * EPOCHS)


def curves(one: Experiment) -> list[dict[str, Any]]:
    """Make up its curves: at the end it validates as its record says."""
    keys = ("train_loss", "train_accuracy", "validation_accuracy")
    return [
        {
            **{"epoch": n, "lr": 0.001, **{key: n / (EPOCHS + 1) for key in keys}},
            **{"validation_loss": 0.2 * EPOCHS / n, "penalty": 0.0, "seed": one.seed},
        }
        for n in range(1, EPOCHS + 1)
    ]
