"""A small world of results for what reads them all: an experiment of two seeds, a sweep of three, a report.

The numbers are made up, and differ from seed to seed; nothing is trained.
"""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from params import ROOT, write

from convlab import files
from convlab.config import dump_item, load_params
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

The network's widths are a *reading*, see [there](elsewhere.md).

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
    files.write_text(files.config("digits"), dump_item(params.experiments["digits"]))
    parts = [_training(one, "digits") for one in seeds]
    files.write_json(files.METRICS / "digits/train.json", files.by_seed([facts for facts, _, _ in parts]))
    files.write_json(
        files.METRICS / "digits/evaluate.json", files.by_seed([scores for _, scores, _ in parts])
    )
    files.write_json(files.METRICS / "digits/timing.json", files.by_seed([timing for _, _, timing in parts]))
    files.write_csv(files.PLOTS / "digits/curves.csv", [row for one in seeds for row in _curves(one)])
    matrix = [{"actual": str(n % 3), "predicted": str(n % 3 if n % 7 else (n + 1) % 3)} for n in range(60)]
    files.write_csv(files.PLOTS / "digits/confusion.csv", matrix)
    picture(files.PLOTS / "digits/figures/wrong.png")

    sweep = params.sweeps["strides"]
    files.write_text(files.config("strides"), dump_item(sweep))
    rows, timings, curves = [], {}, []
    for trial in sweep.trials:
        one = trial.experiment
        facts, scores, timing = _training(one, trial.name)
        rows.append(
            {"name": trial.name, "overrides": trial.overrides, "status": "finished", **facts, **scores}
        )
        timings[files.training(one.seed, trial.name)] = timing
        curves += [{"trial": trial.name, **row} for row in _curves(one)]
    files.write_json(files.METRICS / "strides/trials.json", rows)
    files.write_json(files.METRICS / "strides/timing.json", timings)
    files.write_csv(files.PLOTS / "strides/curves.csv", curves)


def picture(path: Path) -> None:
    """Write a small PNG."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.arange(48 * 64, dtype=np.uint8).reshape(48, 64)).save(path)


def _training(one: Experiment, name: str) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Make up what the files say of a training: its facts, scores and timing."""
    noise = derive_seed(one.seed, name) % 1000 / 1e5
    label = f"{name}-{one.seed}"
    accuracy = 0.97 - (0.05 if "strides-2" in name else 0.0) + noise
    numbers = {"epochs": EPOCHS, "best_epoch": EPOCHS, "parameters": 1234, "flops": 10, "report_flops": 20}
    numbers |= {
        "validation_loss": 0.2,
        "kernel_norm": 3.0 + noise,
        "weight_norm": 12.0 + noise,
        "penalty": 0.5,
    }
    where = {"precision": "fp32", "device": "cpu", "fingerprint": label, "weights": label}
    scores = {
        split: {"loss": 0.1 + noise, "accuracy": accuracy, "images": 360}
        for split in ("train", "validation", "test")
    }
    timing = {"fingerprint": label, "seconds": 8.0, "device_name": "a CPU", "git_commit": "0123456789"}
    timing |= {"started_at": "2026-01-02T03:04:05+00:00", "torch": "2", "images_per_second": 100.0}
    timing |= {"peak_memory_mib": 50.0, "at_once": 1, "epoch_seconds": [2.0] * EPOCHS}
    seed = {"seed": one.seed}
    return {**seed, **numbers, **where}, {**seed, "weights": label, **scores}, timing


def _curves(one: Experiment) -> list[dict[str, Any]]:
    keys = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy")
    return [
        {"epoch": n, "lr": 0.001, **{key: n / (EPOCHS + 1) for key in keys}, "penalty": 0.0, "seed": one.seed}
        for n in range(1, EPOCHS + 1)
    ]
