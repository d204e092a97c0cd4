"""What has been trained, and what is said about it: `rows`, `frame` and their like are in read.py."""

from convlab.results.plans import Plan, load_plans
from convlab.results.quantities import OF_TRAININGS, QUANTITIES, TrainingRow, difference_text, text_of, value
from convlab.results.read import (
    TIMING_COLUMNS,
    Found,
    find,
    frame,
    mean_and_spread,
    mean_text,
    own_timing,
    rounded,
    rows,
    shortened,
    spread,
    status,
    timings,
    values,
)

__all__ = [
    "OF_TRAININGS",
    "QUANTITIES",
    "TIMING_COLUMNS",
    "Found",
    "Plan",
    "TrainingRow",
    "difference_text",
    "find",
    "frame",
    "load_plans",
    "mean_and_spread",
    "mean_text",
    "own_timing",
    "rounded",
    "rows",
    "shortened",
    "spread",
    "status",
    "text_of",
    "timings",
    "value",
    "values",
]
