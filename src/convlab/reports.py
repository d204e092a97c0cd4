"""The reports' numbers beside ours: tables for docs/reports.md, the README and metrics/, from reports.yaml.

Nothing in them is typed by hand: what has not run is 'not run'.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from convlab import claims, files, observations, results
from convlab.config import load_params, read_yaml
from convlab.errors import InputError
from convlab.explain import nearest, show, validate
from convlab.replicates import Noise, noises
from convlab.results import Found, Plan, rounded
from convlab.schema.section import Count, Float, NonNegative, Positive, Section
from convlab.states import told

REPORTS = Path("reports.yaml")
README, PAGE = Path("README.md"), Path("docs/reports.md")
REPORTS_JSON = files.METRICS / "reports.json"
CLAIMS_JSON = files.METRICS / "claims.json"
LONG = 8  # a table of more rows is folded away under its first row

# Every quantity that a report prints, in the order of the columns: its title and how it is shown
QUANTITIES = {
    "test_accuracy": ("test accuracy", "{:.2%}"),
    "test_loss": ("test loss", "{:.4f}"),
    "penalised_test_loss": ("test loss with penalty", "{:.4f}"),
    "validation_accuracy": ("validation accuracy", "{:.2%}"),
    "validation_loss": ("validation loss", "{:.4f}"),
    "running_accuracy": ("running train accuracy", "{:.2%}"),
    "train_accuracy": ("clean train accuracy", "{:.2%}"),
    "running_loss": ("running train loss", "{:.4f}"),
    "train_loss": ("clean train loss", "{:.4f}"),
    "kernel_norm": ("kernel norm", "{:.2f}"),
    "weight_norm": ("weight norm", "{:.2f}"),
    "parameters": ("parameters", "{:,.0f}"),
    "parameters_in_all": ("parameters with statistics", "{:,.0f}"),
    "report_flops": ("FLOPs", "{:,.0f}"),
    "seconds": ("seconds", "{:,.0f}"),
    "seconds_per_epoch": ("seconds an epoch", "{:,.2f}"),
    "last_lr": ("last learning rate", "{:g}"),
    "epochs": ("epochs", "{:.0f}"),
}
Accuracy = Annotated[Float, Field(ge=0, le=1)]


class Row(Section):
    """A row of a report: what it is, our result beside it (null: we have none, for a `reason`), its numbers.

    `parameters` are those that are trained, `parameters_in_all` with the running statistics of batch norm;
    `report_flops` counts as R2 does. `about` names the numbers that a report gives roughly, `goal` is a test
    accuracy to reach where no report has one.
    """

    what: str
    result: str | None
    reason: str = ""
    surpassed_by: str | None = None  # of `convlab headlines`: an experiment that is to be better on two cores
    note: str = ""
    headline: bool = False  # of those that the README shows
    replicate: str | None = None  # rows of one name are trainings of one configuration, in the report
    about: list[Literal[tuple(QUANTITIES)]] = Field(default_factory=list)  # type: ignore[valid-type]
    goal: Accuracy | None = None
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

    @model_validator(mode="after")
    def _no_result_for_a_reason(self) -> "Row":
        if self.result is None and not self.reason:
            raise ValueError("reason|nothing|why there is no result of ours")
        return self

    def printed(self) -> list[str]:
        """Name the quantities that the report has a number (or we a goal) for."""
        found = [key for key in QUANTITIES if getattr(self, key) is not None]
        return ["test_accuracy", *found] if self.goal else found


class Report(Section):
    """What a report printed, or our goals beyond the reports; `hardware` is null where it names none."""

    title: str
    hardware: str | None
    rows: Annotated[list[Row], Field(min_length=1)]


@dataclass(frozen=True)
class Line:
    """A row of a report, and our trainings beside it."""

    row: Row
    ours: Found

    @property
    def dataset(self) -> str | None:
        """The data set of our trainings; None without any."""
        return next((row.get("configuration", {}).get("dataset") for row in self.ours.trainings), None)

    def difference(self, quantity: str) -> float | None:
        """Compute our mean less the report's number (or the goal); None without both."""
        theirs, ours = getattr(self.row, quantity), self.ours.values(quantity)
        if quantity == "test_accuracy" and theirs is None:
            theirs = self.row.goal
        return mean(ours) - theirs if ours and theirs is not None else None


def outputs() -> dict[Path, str]:
    """Return the current content of README.md, docs/reports.md, metrics/reports.json and metrics/claims.json.

    Raises:
        InputError: reports.yaml, params.yaml or a result is wrong, or a page lacks a table's markers.
    """
    plans = results.load_plans()
    reports = load_reports(plans)
    lines = {name: [line_of(row, plans) for row in report.rows] for name, report in reports.items()}
    judged = claims.judge_all(load_params(files.PARAMS), plans)

    page = PAGE.read_text(encoding="utf-8")
    for name, report in reports.items():
        page = insert(page, name, table(report, lines[name]), PAGE)
    page = insert(page, "maps", observations.text(), PAGE)
    numbers = [number for name in reports for line in lines[name] for number in numbers_of(name, line)]
    return {
        README: insert(README.read_text(encoding="utf-8"), "results", glance(lines, judged), README),
        PAGE: insert(page, "claims", claims.table(judged), PAGE),
        REPORTS_JSON: _json(numbers),
        CLAIMS_JSON: _json(judged),
    }


def load_reports(plans: Mapping[str, Plan]) -> dict[str, Report]:
    """Read reports.yaml.

    Raises:
        InputError: a key or a result in it is unknown, a number is none.
    """
    content = read_yaml(REPORTS)
    if not isinstance(content, Mapping):
        raise InputError(f"{REPORTS}: found {show(content)}; allowed: a mapping of reports")
    reports = {}
    for name, report in content.items():
        reports[name] = validate(Report, report, [(f"{REPORTS}: {name}.", report)])
        for index, row in enumerate(reports[name].rows):
            for key in ("result", "surpassed_by"):
                if (result := getattr(row, key)) is not None and result not in plans:
                    known = [one for one in plans if one.startswith(result.partition("/")[0])] or plans
                    where = f"{REPORTS}: {name}.rows.{index}.{key}"
                    raise InputError(f"{where}: found {show(result)}{nearest(result, known)}")
    return reports


def line_of(row: Row, plans: Mapping[str, Plan]) -> Line:
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


def table(report: Report, lines: Sequence[Line]) -> str:
    """Make the Markdown table of a report, with the hardware and the notes below it; a long one is folded."""
    columns, rare = columns_of(lines)
    noise = noises([(line.row.replicate, line.dataset, line.row.test_accuracy) for line in lines])
    titles = [QUANTITIES[key][0] for key in columns]
    theirs = "goal" if any(line.row.goal for line in lines) else "report"
    rows = [
        _markdown([f"{theirs} / ours", titles[0], "difference", *titles[1:], "n", "epochs"]),
        "| --- |" + " ---: |" * (len(columns) + 3),
    ]
    for line in lines:
        first = _headline(line, columns[0])
        others = [_cell(line, key) for key in columns[1:]]
        n = str(len(line.ours.trainings)) if line.ours.trainings else "–"
        difference = points(line.difference(columns[0])) + _within(line, columns[0], noise)
        rows.append(_markdown([line.row.what, first, difference, *others, n, _epochs(line)]))
    if len(lines) > LONG:
        rows = ["<details>", f"<summary>{_summary(lines, columns[0])}</summary>", "", *rows, "", "</details>"]
    return "\n".join([*rows, "", _hardware(report, lines), *_notes(lines, rare, noise), ""])


def columns_of(lines: Sequence[Line]) -> tuple[list[str], list[str]]:
    """Return the columns, the accuracy that counts first, and what one row alone has: it goes into a note."""
    printed = [key for line in lines for key in line.row.printed() if key != "epochs"]
    rare = [
        key for key in QUANTITIES if printed.count(key) == 1 and len(lines) > 2 and key != "test_accuracy"
    ]
    columns = [key for key in QUANTITIES if key in printed and key not in rare] or ["test_accuracy"]
    if "running_accuracy" in columns:  # what a loop prints, and beside it what the kept weights reach
        columns.insert(columns.index("running_accuracy") + 1, "train_accuracy")
    first = next(key for key in ("test_accuracy", "validation_accuracy", *columns) if key in columns)
    return sorted(columns, key=lambda key: key != first), rare


def _summary(lines: Sequence[Line], headline: str) -> str:
    ours = [line for line in lines if line.row.result]
    run = sum(bool(line.ours.trainings) for line in ours)
    first = next((line for line in ours if headline in line.row.printed()), lines[0])
    shown = _headline(first, headline)
    return f"{first.row.what}: {shown} (report / ours). {run} of {len(ours)} rows have run"


def _markdown(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def glance(lines: Mapping[str, Sequence[Line]], judged: Sequence[Mapping[str, Any]]) -> str:
    """Return the table of headlines, with how the claims of each report were judged."""
    rows = [
        _markdown(["report", "", "its accuracy", "ours", "n", "trained on", "its claims"]),
        "| --- | --- | ---: | ---: | ---: | --- | --- |",
    ]
    for name, own in lines.items():
        verdicts = [claim["verdict"] for claim in judged if claim["report"] == name]
        counts = [f"{verdicts.count(kind)} {kind}" for kind in claims.VERDICTS if kind in verdicts]
        for line in (line for line in own if line.row.headline):
            quantity = next(
                key for key in ("test_accuracy", "validation_accuracy") if key in line.row.printed()
            )
            theirs, _, ours = _headline(line, quantity).partition(" / ")
            n, hardware = str(len(line.ours.trainings) or "–"), ", ".join(line.ours.hardware()) or "–"
            rows.append(_markdown([name, line.row.what, theirs, ours, n, hardware, ", ".join(counts) or "–"]))
            counts = ["as above"]
    return "\n".join([*rows, ""])


def insert(text: str, name: str, content: str, page: Path) -> str:
    """Return a page's text with what stands between `<!-- NAME -->` and `<!-- /NAME -->` replaced."""
    begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    if begin not in text or end not in text:
        raise InputError(
            f"{page}: found no {begin.strip()} … {end}; put them where the table of {name} belongs"
        )
    before, rest = text.split(begin, 1)
    return f"{before}{begin}{content}{end}{rest.split(end, 1)[1]}"


def _headline(line: Line, quantity: str) -> str:
    """Show the number that counts first, and what there is to say of the whole result."""
    return _cell(line, quantity, says=line.ours.status) + (" (stale)" if line.ours.stale else "")


def _cell(line: Line, quantity: str, says: str = "–") -> str:
    """Show theirs / ours, ours as mean ± standard deviation; `says` stands for a result that has not run."""
    row, ours = line.row, line.ours.values(quantity)
    theirs = getattr(row, quantity)
    left = (
        f"{'≈ ' if quantity in row.about else ''}{text_of(quantity, theirs)}" if theirs is not None else "–"
    )
    if quantity == "test_accuracy" and row.goal:
        left = f"≥ {text_of(quantity, row.goal)}"
    if ours:
        right = results.mean_and_spread(ours, lambda number: text_of(quantity, number))
    else:
        right = "–" if line.ours.trainings else says
    if left == "–" and (right == "–" or not row.result):
        return "–"
    return f"{left} / {right}"


def text_of(quantity: str, number: float) -> str:
    """Return a number as the tables show it: `99.53%`, `0.0176`."""
    rounded_away = quantity.endswith("loss") and 0 < number < 0.0005
    return f"{number:.2e}" if rounded_away else QUANTITIES[quantity][1].format(number)


def points(difference: float | None) -> str:
    """Return a difference of two accuracies in points of a percent."""
    return "–" if difference is None else f"{100 * difference:+.2f}"


def _epochs(line: Line) -> str:
    return _cell(line, "epochs") + (f" of {line.ours.planned}" if line.ours.shortened else "")


def _hardware(report: Report, lines: Sequence[Line]) -> str:
    ours = "; ".join(sorted({name for line in lines for name in line.ours.hardware()})) or "not run"
    theirs = f"Report: {report.hardware or 'hardware not stated'}. "
    return f"{'' if any(line.row.goal for line in lines) else theirs}Ours: {ours}."


def _within(line: Line, quantity: str, noise: Mapping[str, Noise]) -> str:
    """Mark a difference that is within the noise of the report's own replicates."""
    own, difference = noise.get(line.dataset or ""), line.difference(quantity)
    if own is None or difference is None or quantity != "test_accuracy":
        return ""
    return " °" if abs(difference) <= own.reach(len(line.ours.trainings)) else ""


def _notes(lines: Sequence[Line], rare: Sequence[str], noise: Mapping[str, Noise]) -> list[str]:
    notes = [f"* {own.note()}." for own in noise.values()]
    for line in lines:
        own = [key for key in rare if key in line.row.printed()]
        texts = [f"{QUANTITIES[key][0]} {_cell(line, key)}" for key in own]
        texts += [f"stale: {told(line.ours.stale)}"] if line.ours.stale else []
        if texts := [text for text in (*texts, line.row.note, line.row.reason) if text]:
            notes.append(f"* {line.row.what}: {'; '.join(texts)}.")
    return ["", *notes] if notes else []


def _json(content: Any) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
