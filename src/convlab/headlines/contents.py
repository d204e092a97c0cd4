"""The headlines: the accuracies that the reports reached, and ours, with the time that each took."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from convlab import files, results
from convlab.results import Found, Plan, TrainingRow, text_of
from convlab.results.reports import ACCURACIES, ReportRow, load_reports

TIMES = files.METRICS / "headlines.json"
TITLES = {"mnist": "MNIST", "cifar10": "CIFAR-10", "fashion_mnist": "Fashion-MNIST"}  # as the reports say


@dataclass(frozen=True)
class Theirs:
    """A report's headline. `validated`: it is of validation images, since the report gives no test accuracy;
    `seconds`: of its training, None if the report does not state it."""

    report: str
    accuracy: float
    validated: bool
    seconds: float | None


@dataclass(frozen=True)
class Headline:
    """An experiment and the headlines that it is to surpass; `goal`: where there is no report.

    `whole`: the seconds of all that its `dvc repro` did (data, trainings, scores, figures), None unless they
    are of these trainings.
    """

    name: str
    data: str
    theirs: list[Theirs]
    goal: float | None
    ours: Found
    whole: float | None

    @property
    def highest(self) -> float:
        """The accuracy that is to be surpassed."""
        return max([one.accuracy for one in self.theirs] or [self.goal or 0.0])

    @property
    def accuracy(self) -> float | None:
        """The mean of ours on the test images, None without any."""
        found = self.ours.values("test_accuracy")
        return mean(found) if found else None

    @property
    def seconds(self) -> float | None:
        """The mean of our trainings' own clocks, None without any."""
        found = self.ours.values("seconds")
        return mean(found) if found else None


def headlines() -> list[Headline]:
    """Return the experiments that reports.yaml names in `surpassed_by`, in its order.

    Raises:
        InputError: params.yaml, reports.yaml or a result is wrong.
    """
    plans = results.load_plans()
    rows: dict[str, list[tuple[str, ReportRow]]] = {}
    for report, content in load_reports(plans).items():
        for row in content.rows:
            if row.surpassed_by:
                rows.setdefault(row.surpassed_by, []).append((report, row))
    return [_headline(name, own, plans) for name, own in rows.items()]


def _headline(name: str, rows: list[tuple[str, ReportRow]], plans: Mapping[str, Plan]) -> Headline:
    theirs = [Theirs(report, *_numbers(row)) for report, row in rows if row.goal is None]
    goal = next((row.goal for _, row in rows if row.goal is not None), None)
    experiment = plans[name].experiment
    assert experiment is not None, "every plan of params.yaml has one"
    grey = ", grey" if experiment.preprocess.greyscale else ""
    ours = results.find(name, plans)
    times = files.read_json(TIMES) if TIMES.is_file() else {}
    return Headline(
        name,
        TITLES.get(experiment.dataset, experiment.dataset) + grey,
        theirs,
        goal,
        ours,
        _whole(times.get(name), ours.trainings),
    )


def _numbers(row: ReportRow) -> tuple[float, bool, float | None]:
    key = next(key for key in ACCURACIES if getattr(row, key) is not None)
    accuracy, validated = getattr(row, key), key == "validation_accuracy"
    if row.seconds is None and row.seconds_per_epoch and row.epochs:
        return accuracy, validated, row.seconds_per_epoch * row.epochs
    return accuracy, validated, row.seconds


def _whole(times: Mapping[str, Any] | None, trainings: Sequence[TrainingRow]) -> float | None:
    """Return the seconds of a `dvc repro`, if these trainings are the very ones that it ran."""
    if times is None or any(times.get(key) != value for key, value in runs(trainings).items()):
        return None
    return float(times["seconds"])


def runs(trainings: Sequence[TrainingRow]) -> dict[str, list[str | None]]:
    """Return which trainings these are, and which runs: another, or elsewhere, takes other seconds."""
    return {
        "fingerprints": [row["fingerprint"] for row in trainings],
        "started_at": [row["timing"].get("started_at") for row in trainings],
    }


def hardware_of(found: Sequence[Headline]) -> list[str]:
    """Return the hardware on which ours were trained, each once."""
    return list(dict.fromkeys(name for one in found for name in one.ours.hardware()))


def accuracy_text(number: float) -> str:
    """Return an accuracy as the tables show it."""
    return text_of("test_accuracy", number)


def write_times(times: Mapping[str, Any], path: Path = TIMES) -> None:
    """Add how long `dvc repro` of some experiments took to the file, which keeps those of others."""
    known = files.read_json(path) if path.is_file() else {}
    files.write_json(path, {**known, **times})
