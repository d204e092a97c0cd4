"""The table of parity.py's results: accuracies, their differences to the plain loop's, and times. Pure."""

from statistics import mean, stdev
from typing import Any

from bench.speed.cases import BASELINE, COMMON, CONTENDERS
from bench.speed.speed_table import spread
from convlab import markdown
from convlab.results.intervals import interval_of_difference

GOAL = 0.97  # 'seconds to': of training, up to the end of the first epoch that reaches it
Row = dict[str, Any]


def parity_table(results: Row) -> str:
    """Return the table: accuracies, their differences to the plain loop's seed by seed, and the times."""
    lines = [
        f"{results['device_name']}, PyTorch {results['torch']}: R0's network, {results['images']:,} training "
        f"images, {results['epochs']} epochs, accuracy on {results['held_out']:,} held-out training images; "
        "medians (min–max) of the seconds of training.",
        "",
        f"| contender | n | accuracy | difference, 95 % interval | seconds | seconds to {GOAL:.0%} |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for contender in COMMON:
        rows = [row for row in results["trainings"] if row["way"] == contender]
        found = [row["accuracy"][-1] for row in rows]
        deviation = f" ± {100 * stdev(found):.2f}" if len(found) > 1 else ""
        cells = [
            CONTENDERS[contender].label,
            str(len(rows)),
            f"{100 * mean(found):.2f}{deviation} %",
            "–" if contender == BASELINE else difference(results["trainings"], contender),
            spread([row["seconds"][-1] for row in rows], "{:.1f}".format),
            time_to(GOAL, rows),
        ]
        lines.append(markdown.row(cells))
    return "\n".join(lines) + "\n"


def difference(trainings: list[Row], contender: str) -> str:
    """Return the mean difference to the plain loop's accuracy, paired by seed, in points, with interval."""
    sides = [
        [(row["seed"], row["accuracy"][-1]) for row in trainings if row["way"] == side]
        for side in (contender, BASELINE)
    ]
    found = interval_of_difference(sides[0], sides[1])
    if found is None:
        return "–"
    shown, interval = f"{100 * found.value:+.2f}", found.interval()
    return shown + (f" [{100 * interval[0]:+.2f}, {100 * interval[1]:+.2f}]" if interval else "")


def time_to(goal: float, rows: list[Row]) -> str:
    """Return the seconds of training up to the first epoch that reaches `goal`; with how many that do not."""
    times = [
        next(
            (spent for found, spent in zip(row["accuracy"], row["seconds"], strict=True) if found >= goal),
            None,
        )
        for row in rows
    ]
    reached = [spent for spent in times if spent is not None]
    if not reached:
        return "not reached"
    missed = f", {len(times) - len(reached)} of {len(times)} did not" if len(reached) < len(times) else ""
    return spread(reached, "{:.1f}".format) + missed
