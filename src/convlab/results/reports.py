"""The reports' numbers beside ours: tables for docs/reports.md, the README and metrics/, from reports.yaml.

Nothing in them is typed by hand: what has not run is 'not run'.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from convlab import results
from convlab.config import read_yaml
from convlab.config.explain import nearest, show, validate
from convlab.config.names import check_name
from convlab.errors import InputError
from convlab.results.plans import Plan
from convlab.results.quantities import QUANTITIES, difference_text, text_of
from convlab.results.read import Found, rounded
from convlab.schema.section import Count, Float, NonNegative, Positive, Section, refused

REPORTS = Path("reports.yaml")

ACCURACIES = ("test_accuracy", "validation_accuracy")  # of headlines; R4 has the second alone
Accuracy = Annotated[Float, Field(ge=0, le=1)]


class Numbers(Section):
    """The quantities that a report may print of a result.

    `parameters` are those that are trained, `parameters_in_all` with the running statistics of batch norm;
    `report_flops` counts as R2 does.
    """

    test_accuracy: Accuracy | None = None
    test_loss: NonNegative | None = None
    penalised_test_loss: NonNegative | None = None
    validation_accuracy: Accuracy | None = None
    validation_loss: NonNegative | None = None
    running_accuracy: Accuracy | None = None
    train_accuracy: Accuracy | None = None
    running_loss: NonNegative | None = None
    train_loss: NonNegative | None = None
    kernel_norm: Positive | None = None
    weight_norm: Positive | None = None
    parameters: Count | None = None
    parameters_in_all: Count | None = None
    report_flops: Count | None = None
    seconds: Positive | None = None
    seconds_per_epoch: Positive | None = None
    last_lr: Positive | None = None
    epochs: Count | None = None


PRINTED = tuple(key for key in QUANTITIES if key in Numbers.model_fields)  # in the order of the columns


class ReportRow(Numbers):
    """A row of a report: what it is, our result beside it (null: we have none, for a `reason`), its numbers.

    `about` names the numbers that a report gives roughly, `goal` is a test accuracy to reach where no report
    has one.
    """

    what: str
    result: str | None
    reason: str = ""
    surpassed_by: str | None = None  # of `convlab headlines`: an experiment that is to be better on two cores
    note: str = ""
    headline: bool = False  # of those that the README shows
    replicate: str | None = None  # rows of one name are trainings of one configuration, in the report
    other_reading: bool = False  # the numbers of another row once more, beside a second reading of it
    about: list[Literal[PRINTED]] = Field(default_factory=list)  # type: ignore[valid-type]
    goal: Accuracy | None = None

    @model_validator(mode="after")
    def _no_result_for_a_reason(self) -> "ReportRow":
        if self.result is None and not self.reason:
            raise refused("reason", "nothing", "why there is no result of ours")
        return self

    @model_validator(mode="after")
    def _a_headline_is_an_accuracy(self) -> "ReportRow":
        without = all(getattr(self, key) is None for key in (*ACCURACIES, "goal"))
        if (self.headline or self.surpassed_by) and without:
            key = "headline" if self.headline else "surpassed_by"
            raise refused(key, "no accuracy in its row", " or ".join(ACCURACIES))
        return self

    def printed(self) -> list[str]:
        """Name the quantities that the report has a number (or we a goal) for."""
        found = [key for key in PRINTED if getattr(self, key) is not None]
        return ["test_accuracy", *found] if self.goal else found


class Report(Section):
    """What a report printed, or our goals beyond the reports; `hardware` is null where it names none."""

    title: str
    hardware: str | None
    rows: Annotated[list[ReportRow], Field(min_length=1)]


@dataclass(frozen=True)
class Line:
    """A row of a report, and our trainings beside it."""

    row: ReportRow
    ours: Found

    @property
    def dataset(self) -> str | None:
        """The data set of our trainings; None without any."""
        return next((row.get("configuration", {}).get("dataset") for row in self.ours.trainings), None)

    def theirs(self, quantity: str) -> str:
        """Return the report's number as text, or the goal: `99.53%`, `≈ 0.08`, `≥ 94.00%`; "" without one."""
        if quantity == "test_accuracy" and self.row.goal:
            return f"≥ {text_of(quantity, self.row.goal)}"
        number = getattr(self.row, quantity)
        roughly = "≈ " if quantity in self.row.about else ""
        return "" if number is None else f"{roughly}{text_of(quantity, number)}"

    def difference(self, quantity: str) -> float | None:
        """Compute our mean minus the report's number (or the goal); None without both."""
        theirs, ours = getattr(self.row, quantity), self.ours.values(quantity)
        if quantity == "test_accuracy" and theirs is None:
            theirs = self.row.goal
        return mean(ours) - theirs if ours and theirs is not None else None


def load_reports(plans: Mapping[str, Plan]) -> dict[str, Report]:
    """Read reports.yaml.

    Raises:
        InputError: a key or a result in it is unknown, or a number is invalid.
    """
    content = read_yaml(REPORTS)
    if not isinstance(content, Mapping):
        raise InputError(f"{REPORTS}: found {show(content)}; allowed: a mapping of reports")
    reports = {}
    for name, report in content.items():
        check_name(name, str(REPORTS))
        reports[name] = validate(Report, report, [(f"{REPORTS}: {name}.", report)])
        for index, row in enumerate(reports[name].rows):
            for key in ("result", "surpassed_by"):
                if (result := getattr(row, key)) is not None and result not in plans:
                    known = [one for one in plans if one.startswith(result.partition("/")[0])] or plans
                    where = f"{REPORTS}: {name}.rows.{index}.{key}"
                    raise InputError(f"{where}: found {show(result)}{nearest(result, known)}")
    return reports


def line_of(row: ReportRow, plans: Mapping[str, Plan]) -> Line:
    """Put our trainings of a row beside it."""
    return Line(row, results.find(row.result, plans, row.epochs) if row.result else Found([]))


def numbers_of(report: str, line: Line) -> list[dict[str, Any]]:
    """List a row's numbers, theirs and ours, in the units of metrics/: accuracies from 0 to 1, seconds.

    Rounded to six digits, so that a mean is the same text on every machine.
    """
    row, found = line.row, line.ours
    numbers = []
    for quantity in dict.fromkeys(row.printed() or ["test_accuracy"]):
        ours = found.values(quantity)
        number = {
            "report": report,
            "row": row.what,
            "quantity": quantity,
            "report_value": getattr(row, quantity),
            "goal": row.goal if quantity == "test_accuracy" else None,
            "about": quantity in row.about,
            "ours": rounded(mean(ours)) if ours else None,
            "sd": rounded(results.spread(ours)),
            "n": len(ours),
            "difference": rounded(line.difference(quantity)),
            "epochs": rounded(mean(found.values("epochs"))) if found.trainings else None,
            "planned_epochs": found.planned,
            "shortened": found.shortened,
            "hardware": "; ".join(found.hardware()) or None,
            "result": row.result,
        }
        numbers.append(number)
    return numbers


def points(difference: float | None) -> str:
    """Return a difference of two accuracies in percentage points."""
    return "–" if difference is None else difference_text("test_accuracy", difference)
