"""The table of time_to_accuracy.py's results. Pure."""

from statistics import mean, median, stdev
from typing import Any


def target_table(results: dict[str, Any]) -> str:
    """Return the table: ours, the other script's where it ran; accuracies as mean ± standard deviation."""
    target = results["target"]
    lines = [
        f"{results['device_name']}, Python {results['python']}, PyTorch {results['torch']}, "
        f"{results['precision']}; medians (min–max) of seconds.",
        "",
        f"| way | n | test accuracy | seconds of training and testing | to {target:.1%} on validation |",
        "| --- | ---: | ---: | ---: | ---: |",
        _row(f"convlab, `{results['experiment']}`, {results['epochs']} epochs", results["ours"]),
    ]
    if results["theirs"]:
        lines.append(_row(results["beside"], results["theirs"]))
    return "\n".join([*lines, ""])


def _row(label: str, rows: list[dict[str, Any]]) -> str:
    accuracies = [100 * row["test_accuracy"] for row in rows]
    spread = f" ± {stdev(accuracies):.2f}" if len(rows) > 1 else ""
    reached = [row["seconds_to_target"] for row in rows if row.get("seconds_to_target") is not None]
    until = _seconds(reached) + (f" in {len(reached)} of {len(rows)}" if len(reached) < len(rows) else "")
    return (
        f"| {label} | {len(rows)} | {mean(accuracies):.2f}{spread} % | "
        f"{_seconds([row['seconds'] for row in rows])} | {until if reached else '–'} |"
    )


def _seconds(found: list[float]) -> str:
    return f"{median(found):.1f} ({min(found):.1f}–{max(found):.1f})" if found else "–"
