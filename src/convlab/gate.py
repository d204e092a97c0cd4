"""The gate: every metric that has a floor in params.yaml is there, is a number, and is not under it."""

import json
import math
from dataclasses import dataclass

from convlab import files


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
    problem = f"is {value:.4f}, under its floor" if value < floor else ""
    return Check(experiment, metric, float(value), floor, problem)
