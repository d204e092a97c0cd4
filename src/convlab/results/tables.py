"""The reports' numbers beside ours as Markdown and JSON: docs/reports.md, the README, metrics/."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from convlab import files, git, markdown, results
from convlab.config import load_params
from convlab.data.catalogue import DATASETS
from convlab.results import claims, inline, observations, report_consistency
from convlab.results.quantities import QUANTITIES
from convlab.results.replicates import Noise, noise_by_dataset
from convlab.results.reports import (
    ACCURACIES,
    PRINTED,
    Line,
    Report,
    line_of,
    load_reports,
    numbers_of,
    points,
)
from convlab.results.states import format_reasons

README, PAGE = Path("README.md"), Path("docs/reports.md")
REPORTS_JSON, CLAIMS_JSON = files.METRICS / "reports.json", files.METRICS / "claims.json"
MOST_NAMED = 4  # stale results in a warning
LONG = 8  # a table of more rows is folded away under its first row
# What a loop prints, and beside it what the weights that were kept reach
CLEAN = {"running_accuracy": "train_accuracy", "running_loss": "train_loss"}


def outputs() -> dict[Path, str]:
    """Return the current content of README.md, docs/reports.md, metrics/reports.json and metrics/claims.json.

    Raises:
        InputError: reports.yaml, params.yaml or a result is wrong, or a page lacks a table's markers.
    """
    plans = results.load_plans()
    reports = load_reports(plans)
    lines = {name: [line_of(row, plans) for row in report.rows] for name, report in reports.items()}
    params = load_params(files.PARAMS)
    experiments = claims.by_result(params)
    judged = report_consistency.beside(claims.judge_all(params, plans), reports, experiments)
    # On the embedded digits a claim is tried on a small scale, not on the report's data
    counted = [claim for claim in judged if not DATASETS[experiments[claim["a"]].dataset].embedded]

    readme, page = map(markdown.read, (README, PAGE))
    for name, report in reports.items():
        page = markdown.insert(page, name, table(report, lines[name]), PAGE)
    page = inline.fill(markdown.insert(page, "maps", observations.text(), PAGE), plans, PAGE)
    numbers = [number for name in reports for line in lines[name] for number in numbers_of(name, line)]
    return {
        README: markdown.insert(readme, "results", glance(lines, counted), README),
        PAGE: markdown.insert(page, "claims", claims.table(judged), PAGE),
        REPORTS_JSON: _json(numbers),
        CLAIMS_JSON: _json(judged),
    }


def table(report: Report, lines: Sequence[Line]) -> str:
    """Make the Markdown table of a report, with the hardware and the notes below it; a long one is folded."""
    columns, rare = columns_of(lines)
    noise = noise_by_dataset([(line.row.replicate, line.dataset, line.row.test_accuracy) for line in lines])
    titles = [QUANTITIES[key].title for key in columns]
    theirs = "goal" if any(line.row.goal for line in lines) else "report"
    rows = [
        markdown.row([f"{theirs} / ours", titles[0], "difference", *titles[1:], "n", "epochs"]),
        "| --- |" + " ---: |" * (len(columns) + 3),
    ]
    for line in lines:
        first = _headline(line, columns[0])
        others = [_cell(line, key) for key in columns[1:]]
        n = str(len(line.ours.trainings)) if line.ours.trainings else "–"
        difference = points(line.difference(columns[0])) + _within(line, columns[0], noise)
        rows.append(markdown.row([line.row.what, first, difference, *others, n, _epochs(line)]))
    if len(lines) > LONG:
        rows = ["<details>", f"<summary>{_summary(lines, columns[0])}</summary>", "", *rows, "", "</details>"]
    return "\n".join([*rows, "", _hardware(report, lines), *_notes(lines, rare, noise), ""])


def columns_of(lines: Sequence[Line]) -> tuple[list[str], list[str]]:
    """Return the columns, the accuracy that counts first, and what one row alone has: it goes into a note."""
    printed = [key for line in lines for key in line.row.printed() if key != "epochs"]
    rare = [key for key in PRINTED if printed.count(key) == 1 and len(lines) > 2 and key != "test_accuracy"]
    columns = [key for key in PRINTED if key in printed and key not in rare] or ["test_accuracy"]
    first = next(key for key in (*ACCURACIES, *columns) if key in columns)
    if first == "validation_accuracy":  # a report's validation images may be the test images
        columns.insert(columns.index(first) + 1, "test_accuracy")
    if "running_accuracy" in columns:
        columns.insert(columns.index("running_accuracy") + 1, CLEAN["running_accuracy"])
    return sorted(columns, key=lambda key: key != first), rare


def noted(line: Line, rare: Sequence[str]) -> list[str]:
    """Return the quantities of a row that go into a note, each running one with the clean one beside it."""
    own = [key for key in rare if key in line.row.printed()]
    return list(dict.fromkeys(one for key in own for one in (key, CLEAN.get(key)) if one))


def _summary(lines: Sequence[Line], headline: str) -> str:
    ours = [line for line in lines if line.row.result]
    run = sum(bool(line.ours.trainings) for line in ours)
    first = next((line for line in ours if headline in line.row.printed()), lines[0])
    shown = _headline(first, headline)
    return f"{first.row.what}: {shown} (report / ours). {run} of {len(ours)} rows have run"


def glance(lines: Mapping[str, Sequence[Line]], judged: Sequence[Mapping[str, Any]]) -> str:
    """Return the table of headlines, with how many claims of each report have which verdict."""
    rows = [
        markdown.row(["report", "", "its accuracy", "ours", "n", "trained on", "its claims"]),
        "| --- | --- | ---: | ---: | ---: | --- | --- |",
    ]
    for name, own in lines.items():
        verdicts = [claim["verdict"] for claim in judged if claim["report"] == name]
        counts = [f"{verdicts.count(kind)} {kind}" for kind in claims.VERDICTS if kind in verdicts]
        for line in (line for line in own if line.row.headline):
            quantity = next(key for key in ACCURACIES if key in line.row.printed())
            theirs, _, ours = _headline(line, quantity).partition(" / ")
            if quantity == "validation_accuracy":  # ours of the row as well
                theirs = f"{theirs} (validation)"
            if line.ours.shortened:
                ours += f", {_epochs(line).rpartition(' / ')[2]} epochs"
            n, hardware = str(len(line.ours.trainings) or "–"), ", ".join(line.ours.hardware()) or "–"
            rows.append(
                markdown.row([name, line.row.what, theirs, ours, n, hardware, ", ".join(counts) or "–"])
            )
            counts = ["as above"]
    return "\n".join([*rows, ""])


def hints(outputs: Mapping[Path, str]) -> list[str]:
    """Return warnings before the tables are committed: uncommitted settings, and claims on stale results."""
    declared = (str(files.PARAMS), str(files.STUDIES))
    changed = git.output_or_none("diff", "--name-only", "--relative", "HEAD", "--", *declared) or ""
    found = [f"{name} has uncommitted changes, which the tables include" for name in changed.split()]
    stale = dict.fromkeys(name for row in json.loads(outputs[CLAIMS_JSON]) for name in row["stale"])
    if stale:
        shown = ", ".join([*list(stale)[:MOST_NAMED], *(["…"] if len(stale) > MOST_NAMED else [])])
        found.append(f"claims rest on stale results: {shown}; `convlab list` shows why")
    return found


def _headline(line: Line, quantity: str) -> str:
    """Show the most important number of a row, and the state of its result."""
    return _cell(line, quantity, says=line.ours.status) + (" (stale)" if line.ours.stale else "")


def _cell(line: Line, quantity: str, says: str = "–") -> str:
    """Show theirs / ours, ours as mean ± standard deviation; `says` stands for a result that has not run."""
    left, ours = line.theirs(quantity) or "–", line.ours.values(quantity)
    right = results.mean_text(quantity, ours) or ("–" if line.ours.trainings else says)
    if left == "–" and (right == "–" or not line.row.result):
        return "–"
    return f"{left} / {right}"


def _epochs(line: Line) -> str:
    return _cell(line, "epochs") + line.ours.of_planned


def _hardware(report: Report, lines: Sequence[Line]) -> str:
    ours = "; ".join(sorted({name for line in lines for name in line.ours.hardware()})) or "not run"
    theirs = f"Report: {report.hardware or 'hardware not stated'}. "
    most = max(
        (row["timing"].get("at_once") or 1 for line in lines for row in line.ours.trainings), default=1
    )
    together = f" Up to {most} trainings ran at once, so each took longer." if most > 1 else ""
    return f"{'' if any(line.row.goal for line in lines) else theirs}Ours: {ours}.{together}"


def _within(line: Line, quantity: str, noise: Mapping[str, Noise]) -> str:
    """Mark a difference that is within the noise of the report's own replicates."""
    own, difference = noise.get(line.dataset or ""), line.difference(quantity)
    if own is None or difference is None or quantity != "test_accuracy":
        return ""
    margin = own.margin(len(line.ours.trainings))
    return " °" if margin is not None and abs(difference) <= margin else ""


def _notes(lines: Sequence[Line], rare: Sequence[str], noise: Mapping[str, Noise]) -> list[str]:
    notes = [f"* {own.note()}." for own in noise.values()]
    for line in lines:
        texts = [f"{QUANTITIES[key].title} {_cell(line, key)}" for key in noted(line, rare)]
        texts += [f"stale: {format_reasons(line.ours.stale)}"] if line.ours.stale else []
        if texts := [text for text in (*texts, line.row.note, line.row.reason) if text]:
            notes.append(f"* {line.row.what}: {'; '.join(texts)}.")
    return ["", *notes] if notes else []


def _json(content: Any) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
