"""The state of a result, from what it was made from: would the current settings, data and code give it?"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from convlab import files, portable
from convlab.config import trials_of
from convlab.pipeline.identity import identity
from convlab.pipeline.made_from import TrainingRecord
from convlab.pipeline.provenance import hardware_here, hash_data
from convlab.results.folders import Folder, load
from convlab.schema import Experiment, Sweep

StateKind = Literal["fresh", "other hardware", "shortened", "stale", "inconsistent", "never run"]
MOST = 3  # reasons that are shown in a line


@dataclass(frozen=True)
class State:
    """What a result is, and why: keys (`lr: 0.001 → 0.01`), data, modules of the code.

    `other hardware`: fresh, but of a machine whose last bits this one cannot be expected to reproduce.
    """

    kind: StateKind
    because: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.kind}: {format_reasons(self.because)}" if self.because else self.kind


def format_reasons(reasons: Sequence[str]) -> str:
    """Return the first reasons in a line, and how many more there are."""
    more = len(reasons) - MOST
    return ", ".join([*reasons[:MOST], *([f"and {more} more"] if more > 0 else [])])


def state_of(name: str, item: Experiment | Sweep | None) -> State:
    """Return the state of an experiment or a sweep; `item`: what params.yaml says of it, if anything.

    Raises:
        InputError: a file of it is damaged.
    """
    folder = load(name)
    if folder.problem:
        return State("inconsistent", (folder.problem,))
    if not folder.trainings:
        return State("never run")
    if item is None:
        return State("stale", ("not in params.yaml",))
    wanted = {(trial.name, trial.experiment.seed): trial.experiment for trial in trials_of(name, item)}
    found = {(one["name"], one["seed"]): one for one in folder.trainings}
    both = [(record, wanted[key]) for key, record in found.items() if key in wanted]
    reasons = list(_incomplete(folder, wanted.keys(), found.keys()))
    fewer: list[str] = []
    for record, experiment in both:
        own, less = _reasons(folder, record, experiment)
        reasons, fewer = reasons + own, fewer + less
    return _state(reasons, fewer, folder.trainings)


def state_of_training(folder: Folder, record: TrainingRecord, experiment: Experiment) -> State:
    """Return the state of one training of a folder; `experiment`: what params.yaml says of it."""
    return _state(*_reasons(folder, record, experiment), [record])


def _state(reasons: list[str], fewer: list[str], trainings: Sequence[TrainingRecord]) -> State:
    """Return the state of trainings, from how they differ from the current settings, code and data.

    `fewer`: in what they are only shortened.
    """
    if reasons:
        return State("stale", tuple(dict.fromkeys(reasons + fewer)))
    if fewer:
        return State("shortened", tuple(dict.fromkeys(fewer)))
    hardware = {one["environment"].get("device_name") for one in trainings if not _anywhere(one)} - {None}
    elsewhere = sorted(hardware - hardware_here())
    return State("other hardware", tuple(elsewhere)) if elsewhere else State("fresh")


def _reasons(folder: Folder, record: TrainingRecord, experiment: Experiment) -> tuple[list[str], list[str]]:
    """Return how a training differs from the current settings, code and data; and, apart from that, its
    epochs, if they are only fewer."""
    found = differences([record, *_scores(folder, record)], experiment)
    fewer = [one for one in found if one.startswith("epochs: ") and _is_less(record, experiment)]
    reasons = [one for one in found if one not in fewer]
    return reasons + _other_data(record["of"], record, experiment), fewer


def differences(records: Sequence[TrainingRecord], experiment: Experiment) -> list[str]:
    """Return how a training and its scores differ from these settings and the current code."""
    reasons = []
    for record in records:
        if "configuration" in record:
            now = experiment.model_dump(mode="json", exclude_defaults=True)
            reasons += changed(record["configuration"], now)
        for phase, modules in record["code"].items():
            own = identity(phase, experiment)
            reasons += sorted({name for name in {*modules, *own} if modules.get(name) != own.get(name)})
    return list(dict.fromkeys(reasons))


def _incomplete(folder: Folder, wanted: Any, found: Any) -> Iterator[str]:
    if missing := wanted - found:
        yield f"{len(wanted) - len(missing)} of {len(wanted)} trainings"
    if found - wanted:
        yield f"{len(found - wanted)} trainings that params.yaml does not have"
    ended = [one for one in folder.trainings if one["status"] == "finished"]
    if len(folder.scored()) < len(ended):
        yield "not evaluated"


def _scores(folder: Folder, record: TrainingRecord) -> list[TrainingRecord]:
    return [scores for facts, scores in folder.scored() if facts is record and scores is not record]


def _anywhere(record: TrainingRecord) -> bool:
    """Return whether this machine can be expected to reproduce a training's last bits, whoever made it."""
    pinned = record["configuration"].get("portable") and "kernels" in record["environment"]
    return bool(pinned) and portable.possible()


def _is_less(record: TrainingRecord, experiment: Experiment) -> bool:
    return bool(record["configuration"]["epochs"] < experiment.epochs)


def _other_data(name: str, record: TrainingRecord, experiment: Experiment) -> list[str]:
    """Return `data` if the prepared data here is not what a training saw."""
    folder = files.PROCESSED / name / experiment.data_key()
    if not (folder / "statistics.json").is_file():
        return []
    return [] if _hash(folder.resolve()) == record["data"]["training"] else ["data"]


@cache
def _hash(folder: Path) -> str:
    try:
        return hash_data(folder)
    except FileNotFoundError:  # being prepared
        return ""


def changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return in which keys two configurations differ."""
    before, now = _flat(before), _flat(now)
    keys = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    return [f"{key}: {before.get(key, 'unset')} → {now.get(key, 'unset')}" for key in keys]


def _flat(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return a configuration by dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in content.items():
        inner = isinstance(value, Mapping)
        flat |= _flat(value, f"{prefix}{key}.") if inner else {f"{prefix}{key}": value}
    return flat
