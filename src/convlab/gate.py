"""The gate: every metric that has a floor in params.yaml is there, is a number, is of the training
whose facts are there, and is not under the floor.

A training that fails, as one that diverges, leaves the scores of the one before it: DVC removes what the
stage that it runs has made, train.json among it, and keeps what later stages have.
"""

import json
import math
from dataclasses import dataclass
from typing import Any

from convlab import files
from convlab.results import of_same_weights


@dataclass(frozen=True)
class Check:
    """One metric against its floor. `problem` is empty where it holds."""

    experiment: str
    metric: str
    value: float | None
    floor: float
    problem: str


def check(thresholds: dict[str, dict[str, float]]) -> list[Check]:
    """Compare metrics/<experiment>/evaluate.json with the floors, metric by metric."""
    return [
        _check(experiment, metric, floor)
        for experiment, floors in thresholds.items()
        for metric, floor in floors.items()
    ]


def unfounded(experiment: str) -> str:
    """Return why the scores of an experiment are not those of its training; empty where they are."""
    facts, scores = (files.METRICS / experiment / f"{name}.json" for name in ("train", "evaluate"))
    try:
        trained, scored = (_by_seed(json.loads(path.read_text())) for path in (facts, scores))
        same = trained.keys() == scored.keys()
        same = same and all(of_same_weights(trained[seed], scored[seed]) for seed in trained)
    except FileNotFoundError:
        if facts.is_file():
            return f"is missing: there is no {scores}"
        return f"is of no training that ended: there is no {facts}; run `dvc repro`"
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return f"is of no training that can be read in {facts} and {scores}; run `dvc repro`"
    return "" if same else f"is of another training than {facts}; run `dvc repro`"


def _by_seed(content: dict[str, Any]) -> dict[Any, dict[str, Any]]:
    return {row.get("seed"): row for row in content.get("seeds", [content])}


def _check(experiment: str, metric: str, floor: float) -> Check:
    path = files.METRICS / experiment / "evaluate.json"
    split, quantity = metric.split("_")
    try:
        value = json.loads(path.read_text())[split][quantity]
    except FileNotFoundError:
        return Check(experiment, metric, None, floor, f"is missing: there is no {path}")
    except (ValueError, KeyError, TypeError, RecursionError):
        return Check(experiment, metric, None, floor, f"is missing in {path}")
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return Check(experiment, metric, None, floor, f"is no number in {path}: {value!r}")
    problem = unfounded(experiment) or (f"is {value:.4f}, under its floor" if value < floor else "")
    return Check(experiment, metric, float(value), floor, problem)
