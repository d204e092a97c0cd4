"""What DVC shows of a result: a few numbers by name, each a mean over seeds, computed from its records.

`dvc metrics` and `dvc exp show` make a column of each, so what nobody compares stays in the records.
"""

from collections.abc import Sequence
from statistics import mean
from typing import Any

from convlab.pipeline.made_from import TrainingRecord

SHOWN = ("test", "validation", "train")  # the most important first
OF_TRAINING = ("epochs", "best_epoch", "parameters", "kernel_norm")


def trained(records: Sequence[TrainingRecord]) -> dict[str, Any]:
    """Summarise the trainings of an experiment, for train.json."""
    return {key: mean(record[key] for record in records) for key in OF_TRAINING}


def evaluated(records: Sequence[TrainingRecord]) -> dict[str, Any]:
    """Summarise the evaluations of an experiment, for evaluate.json; of several seeds, each accuracy, too."""
    summary: dict[str, Any] = {
        split: {key: mean(record[split][key] for record in records) for key in ("accuracy", "loss")}
        for split in SHOWN
    }
    return summary | ({"seeds": _by_seed(records)} if len(records) > 1 else {})


def tried(records: Sequence[TrainingRecord]) -> dict[str, Any]:
    """Summarise the trials of a sweep, for trials.json, by name; a trial without a number says why."""
    trials: dict[str, list[TrainingRecord]] = {}
    for record in records:
        trials.setdefault(record["name"], []).append(record)
    return {name: _trial(own) for name, own in trials.items()}


def _trial(records: Sequence[TrainingRecord]) -> dict[str, Any]:
    ended = [record for record in records if record["status"] == "finished"]
    stopped = sorted({record["status"] for record in records} - {"finished"})
    summary: dict[str, Any] = {"status": ", ".join(stopped)} if stopped else {}
    if ended:
        summary["test_accuracy"] = mean(record["test"]["accuracy"] for record in ended)
    return summary | ({"seeds": _by_seed(ended)} if len(records) > 1 and ended else {})


def _by_seed(records: Sequence[TrainingRecord]) -> dict[str, float]:
    return {str(record["seed"]): record["test"]["accuracy"] for record in records}
