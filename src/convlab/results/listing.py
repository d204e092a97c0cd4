"""What `convlab list` shows: each experiment and sweep of params.yaml, and each result, in a line."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from statistics import mean
from typing import Any

from rich.table import Table
from rich.text import Text

from convlab.errors import InputError
from convlab.results.folders import finished, load
from convlab.results.quantities import text_of
from convlab.results.read import mean_text, rows, spread, timings, values
from convlab.results.states import State, StateKind, state_of
from convlab.schema import Params

STYLES: dict[StateKind, str] = {
    "fresh": "green",
    "other hardware": "",
    "shortened": "yellow",
    "stale": "yellow",
    "inconsistent": "red",
    "never run": "dim",
}
UNITS = {"d": 86_400, "h": 3600, "min": 60}  # seconds


@dataclass(frozen=True)
class Listed:
    """An experiment, or a sweep with the worst and the best of its trials.

    `accuracies` are those on the test images from 0 to 1: an experiment's, one per seed; a sweep's, one per
    trial, each a mean over seeds. `at` is when the newest training began, None where no timing is left.
    """

    name: str
    state: State
    n: int
    sweep: bool
    accuracies: list[float]
    hardware: list[str]
    at: datetime | None


def listed(params: Params) -> list[Listed]:
    """Return a line for each experiment and sweep, and for results that params.yaml no longer has."""
    items: Mapping[str, Any] = {**params.experiments, **params.sweeps}
    names = [*items, *sorted(set(finished()) - items.keys())]
    found = []
    for name in names:
        try:
            found.append(_listed(name, items.get(name)))
        except InputError as error:  # a damaged file: the others are worth listing all the same
            found.append(Listed(name, State("inconsistent", (str(error),)), 0, False, [], [], None))
    return found


def _listed(name: str, item: Any) -> Listed:
    folder, state = load(name), state_of(name, item)
    trials = list(dict.fromkeys(one["name"] for one in folder.trainings))
    sweep = trials not in ([], [name])
    results = [rows(f"{name}/{trial}") for trial in trials] if sweep else [rows(name)]
    means = [mean(values(own, "test_accuracy")) for own in results if own]
    hardware = {one["environment"].get("device_name") for one in folder.trainings} - {None}
    prints = {one["fingerprint"] for one in folder.trainings}
    begun = [one.get("started_at") for one in timings(name) if one.get("fingerprint") in prints]
    at = max((datetime.fromisoformat(time) for time in begun if time), default=None)
    n = sum(map(len, results))
    accuracies = means if sweep else values(results[0], "test_accuracy")
    return Listed(name, state, n, sweep, accuracies, sorted(hardware), at)


def table(found: Sequence[Listed]) -> Table:
    """Return the lines as a table for a terminal."""
    shown = Table(box=None, header_style="bold")
    for title in ("name", "state", "n", "test accuracy", "hardware", "age"):
        shown.add_column(title, justify="right" if title in ("n", "age") else "left", overflow="fold")
    for line in found:
        said = line.state.kind if line.state.kind == "other hardware" else str(line.state)
        state = Text(said, STYLES[line.state.kind])  # no markup: a setting may be a list in brackets
        hardware = "; ".join(line.hardware) or "–"
        shown.add_row(line.name, state, str(line.n or "–"), _accuracy(line), hardware, _age(line.at))
    return shown


def as_json(found: Sequence[Listed]) -> list[dict[str, Any]]:
    """Return the lines for a program; an accuracy is from 0 to 1, `because` complete."""
    return [
        {
            **asdict(line),
            "state": line.state.kind,
            "because": line.state.because,
            "test_accuracy": mean(line.accuracies) if line.accuracies and not line.sweep else None,
            "sd": spread(line.accuracies) if not line.sweep else None,
            "at": line.at.isoformat() if line.at else None,
        }
        for line in found
    ]


def _accuracy(line: Listed) -> str:
    if not line.accuracies:
        return "–"
    if line.sweep:
        ends = [text_of("test_accuracy", end) for end in (min(line.accuracies), max(line.accuracies))]
        return " to ".join(dict.fromkeys(ends))  # one trial, or equal ones
    return mean_text("test_accuracy", line.accuracies)


def _age(at: datetime | None) -> str:
    if at is None:
        return "–"
    seconds = (datetime.now(UTC) - at).total_seconds()
    return next((f"{seconds / size:.0f} {unit}" for unit, size in UNITS.items() if seconds >= size), "now")
