"""The reports' numbers beside ours: tables for the README, made from reports.yaml and metrics/.

Nothing in them is typed by hand: what has not run is 'not run'.
"""

from pathlib import Path
from typing import Any

from convlab import files
from convlab.config import read_yaml
from convlab.errors import InputError

REPORTS = Path("reports.yaml")
README = Path("README.md")
COLUMNS = ("report / ours", "test accuracy", "difference", "test loss", "weight norm", "epochs", "seconds")
QUANTITIES = {
    "test_accuracy": "{:.2%}",
    "test_loss": "{:.4f}",
    "weight_norm": "{:.2f}",
    "epochs": "{}",
    "seconds": "{:.0f}",
}


def write_readme() -> list[str]:
    """Put the current table of each report between its markers in README.md; return the reports' ids.

    Raises:
        InputError: the README lacks a report's markers.
    """
    text = README.read_text(encoding="utf-8")
    reports = read_yaml(REPORTS)
    for report, content in reports.items():
        text = insert(text, report, table(content))
    files.write_text(README, text)
    return list(reports)


def insert(text: str, report: str, content: str) -> str:
    """Replace what stands between `<!-- REPORT -->` and `<!-- /REPORT -->`."""
    begin, end = f"<!-- {report} -->\n", f"<!-- /{report} -->"
    if begin not in text or end not in text:
        raise InputError(
            f"{README}: found no {begin.strip()} … {end}; put them where the table of {report} belongs"
        )
    before, rest = text.split(begin, 1)
    return f"{before}{begin}{content}{end}{rest.split(end, 1)[1]}"


def table(report: dict[str, Any]) -> str:
    """Make a Markdown table of a report's rows and ours, with the hardware of both below it."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "| --- |" + " ---: |" * (len(COLUMNS) - 1)]
    hardware = set()
    for row in report["rows"]:
        ours = find(row["result"])
        lines.append("| " + " | ".join([row["what"], *_cells(row, ours)]) + " |")
        if "device" in ours:
            hardware.add(f"{ours['device']} ({ours['precision']})")
    note = (
        f"Report: {report['hardware']}, one seed. Ours: {'; '.join(sorted(hardware)) or 'not run'}, one seed."
    )
    return "\n".join([*lines, "", note, ""])


def find(result: str) -> dict[str, Any]:
    """Find our numbers of an experiment, or of `sweep/trial`; empty if it has not run (or not to its end)."""
    name, _, trial = result.partition("/")
    folder = files.METRICS / name
    timing = files.read_json(folder / "timing.json") if (folder / "timing.json").is_file() else {}
    if trial:
        rows = files.read_json(folder / "trials.json") if (folder / "trials.json").is_file() else []
        finished = [row for row in rows if row["name"] == trial and row["status"] == "finished"]
        facts: dict[str, Any] = finished[0] if finished else {}
        test, timing = facts.get("test", {}), timing.get(trial, {})
    elif (folder / "train.json").is_file() and (folder / "evaluate.json").is_file():
        facts = files.read_json(folder / "train.json")
        test = files.read_json(folder / "evaluate.json")["test"]
    else:
        return {}
    if not facts:
        return {}
    ours = {key: facts[key] for key in ("epochs", "weight_norm", "precision", "fingerprint")}
    ours |= {"test_accuracy": test["accuracy"], "test_loss": test["loss"]}
    if timing.get("fingerprint") == facts["fingerprint"]:
        ours |= {"seconds": timing["seconds"], "device": timing["device_name"]}
    return ours


def _cells(row: dict[str, Any], ours: dict[str, Any]) -> list[str]:
    """Give one cell a quantity, theirs / ours; the difference of accuracies, in points, stands after them."""
    cells = []
    for key, form in QUANTITIES.items():
        theirs = form.format(row[key]) if key in row else "–"
        missing = "–" if ours else "not run"
        cells.append(f"{theirs} / {form.format(ours[key]) if key in ours else missing}")
    difference = f"{100 * (ours['test_accuracy'] - row['test_accuracy']):+.2f}" if ours else "–"
    return [cells[0], difference, *cells[1:]]
