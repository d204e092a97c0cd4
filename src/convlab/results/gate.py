"""The gate: every metric with a threshold must exist, belong to the training and the configuration that are
recorded, and not be below it.

A training that fails, by diverging say, leaves the scores of the one before it: DVC removes the outputs of
the stage that it runs, trainings.json among them, and keeps those of later stages.
"""

from dataclasses import dataclass
from statistics import mean

from convlab import files
from convlab.errors import InputError
from convlab.results.folders import load
from convlab.results.read import rows, values


@dataclass(frozen=True)
class Check:
    """One metric against its threshold: the mean over its seeds. `problem` is empty where it holds."""

    experiment: str
    metric: str
    value: float | None
    threshold: float
    problem: str


def check(thresholds: dict[str, dict[str, float]]) -> list[Check]:
    """Compare the results of experiments with their thresholds, metric by metric."""
    return [
        _check(experiment, metric, threshold)
        for experiment, own in thresholds.items()
        for metric, threshold in own.items()
    ]


def unfounded(experiment: str) -> str:
    """Return why the scores of an experiment are not those of its training; empty where they are."""
    try:
        folder = load(experiment)
    except InputError as error:
        return f"cannot be read: {error}"
    facts, scores = files.trainings(experiment), files.scores(experiment)
    if folder.problem:
        return f"is inconsistent: {folder.problem}"
    if not folder.trainings:
        return f"belongs to no finished training: there is no {facts}; run `dvc repro`"
    if not folder.scores:
        return f"is missing: there is no {scores}"
    if len(folder.scored()) < max(len(folder.trainings), len(folder.scores)):
        return f"belongs to a different training than {facts}; run `dvc repro`"
    return ""


def _check(experiment: str, metric: str, threshold: float) -> Check:
    if problem := unfounded(experiment):
        return Check(experiment, metric, None, threshold, problem)
    value = mean(values(rows(experiment), metric))
    problem = f"is {value:.4f}, below its threshold" if not value >= threshold else ""
    return Check(experiment, metric, value, threshold, problem)
