"""The folder of a result, read whole: refused where its records, summaries and curves do not belong together.

Numbers of one training beside the curves or the configuration of another, or a number that somebody edited,
are not a result: each reader gets the reason from here, and shows no number.
"""

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import isclose, isfinite
from pathlib import Path
from typing import Any

from convlab import files
from convlab.errors import InputError
from convlab.pipeline import summaries
from convlab.pipeline.made_from import TrainingRecord, problem_of
from convlab.schema.curve_quantities import of_curve

PARTS = ("trainings.json", "scores.json", "train.json", "evaluate.json", "trials.json")
MEND = "`git checkout` or `dvc repro` restores consistent files"
Confused = tuple[str, str]  # actual class, predicted class


@dataclass(frozen=True)
class Folder:
    """What is there of an experiment or a sweep: its records, as trainings.json and scores.json hold them.

    `read_off`: what its curves say of each training, by name and seed (see `curve_quantities`).
    `problem`: why its parts do not belong together, so that it is not a result; empty if they do.
    """

    trainings: list[TrainingRecord]
    scores: list[TrainingRecord]
    problem: str
    read_off: Mapping[tuple[str, int], Mapping[str, float | None]]

    def scored(self) -> list[tuple[TrainingRecord, TrainingRecord]]:
        """Pair each training that ended with its scores; scores of other weights are left out."""
        ended = [one for one in self.trainings if one["status"] == "finished"]
        own = [one for one in ended if "test" in one]  # a sweep's record holds both
        by_seed = {one["seed"]: one for one in self.scores}
        pairs = [(one, by_seed[one["seed"]]) for one in ended if one["seed"] in by_seed]
        return [(one, one) for one in own] + [
            (one, scores) for one, scores in pairs if one["weights"] == scores["weights"]
        ]


def load(name: str) -> Folder:
    """Return what metrics/NAME/ and plots/NAME/ hold of an experiment or a sweep, which may be nothing.

    Raises:
        InputError: a file is damaged.
    """
    paths = (
        *(files.METRICS / name / file for file in PARTS),
        *(files.PLOTS / name / file for file in ("curves.csv", "confusion.csv")),
    )
    return _load(name, Path.cwd(), tuple(stamp(path) for path in paths))


@lru_cache(maxsize=256)
def _load(name: str, root: Path, stamps: tuple[Any, ...]) -> Folder:
    """Read a folder once for as long as its files stay as they are."""
    trainings, scores = (read(name, file) or [] for file in PARTS[:2])
    problem = _problem(name, trainings, scores)
    if problem:
        return Folder([], [], problem, {})
    read_off = {training: of_curve(rows) for training, rows in curves(name).items()} if trainings else {}
    return Folder(trainings, scores, problem, read_off)


def curves(name: str) -> dict[tuple[str, int], list[dict[str, Any]]]:
    """Return the rows of curves.csv of each training of an experiment or a sweep, by its name and seed.

    Raises:
        InputError: the file is damaged.
    """
    path = files.PLOTS / name / "curves.csv"
    found: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for row in files.read_curves(path) if path.is_file() else []:
        found.setdefault((row.get("trial", name), row["seed"]), []).append(row)
    return found


def stamp(path: Path) -> tuple[int, int, int] | None:
    """Return what changes when a file is written; None if there is no file."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _problem(name: str, trainings: Any, scores: Any) -> str:
    """Return which parts of a folder do not belong together, and what to do."""
    for file, records in (("trainings.json", trainings), ("scores.json", scores)):
        problem = "" if isinstance(records, list) else "is not a list of records"
        problem = problem or next(filter(None, (problem_of(record, name) for record in records)), "")
        if problem:
            return f"{files.METRICS / name / file} {problem}; {MEND}"
    sums: dict[str, Any] = {}
    if any("test" in record or record["status"] != "finished" for record in trainings):
        sums["trials.json"] = summaries.tried(trainings)
    elif trainings:
        sums["train.json"] = summaries.trained(trainings)
    if scores:
        sums["evaluate.json"] = summaries.evaluated(scores)
    for file in PARTS[2:]:
        found = read(name, file)
        if found != sums.get(file) and (found is not None or file in sums):
            other = "scores.json" if file == "evaluate.json" else "trainings.json"
            return f"{files.METRICS / name / file} does not match {other}; {MEND}"
    return _of_other_curves(name, trainings) or _of_other_predictions(name, scores)


def _of_other_curves(name: str, trainings: Sequence[TrainingRecord]) -> str:
    """Return why the learning curves are not those of these trainings; empty where they are."""
    path = files.PLOTS / name / "curves.csv"
    ended = [one for one in trainings if one["status"] == "finished"]
    if not ended:
        return ""
    rows = files.read_curves(path)
    if rows and (missing := sorted({"seed", "epoch", "validation_loss"} - rows[0].keys())):
        return f"{path} has no column {', '.join(missing)}; {MEND}"
    for row in rows:
        if odd := next((key for key, value in row.items() if key != "trial" and not isfinite(value)), None):
            return f"{path} has {row[odd]} as {odd} of epoch {row['epoch']:g}; {MEND}"
    kept = {(row.get("trial", name), row["seed"], row["epoch"], row["validation_loss"]) for row in rows}
    for one in ended:
        if (one["name"], one["seed"], one["best_epoch"], one["validation_loss"]) not in kept:
            return f"{path} belongs to a different training than {files.trainings(name)}; {MEND}"
    return ""


def _of_other_predictions(name: str, scores: Sequence[TrainingRecord]) -> str:
    """Return why confusion.csv is not of the first seed's scores, each class's precision and recall."""
    per_class = scores[0].get("per_class", {}) if scores else {}
    if not per_class or not _confusion(name).is_file():
        return ""
    pairs = confusions(name)
    actual, predicted = Counter(label for label, _ in pairs), Counter(guess for _, guess in pairs)
    right = Counter(label for label, guess in pairs if label == guess)
    for label, own in per_class.items():
        found = right[label] / max(predicted[label], 1), right[label] / max(actual[label], 1)
        if actual[label] != own["images"] or not _close(found, (own["precision"], own["recall"])):
            return f"{_confusion(name)} does not match {files.scores(name)} in {label!r}; {MEND}"
    return ""


def confusions(name: str) -> list[Confused]:
    """Return (actual, predicted) of each test image, of the first seed; empty where there is none.

    Raises:
        InputError: the file is damaged.
    """
    path = _confusion(name)
    if not path.is_file():
        return []
    try:
        head, *rows = csv.reader(path.read_text(encoding="utf-8").splitlines())
        if head != ["actual", "predicted"]:
            raise ValueError(f"its columns are {', '.join(head)}")
        return [(actual, predicted) for actual, predicted in rows]
    except (ValueError, csv.Error) as error:
        raise InputError(f"{path}: unreadable ({error}); remove it and run `dvc repro`") from None


def _confusion(name: str) -> Path:
    return files.PLOTS / name / "confusion.csv"


def _close(found: Sequence[float], recorded: Sequence[float]) -> bool:
    return all(isclose(one, other, abs_tol=1e-9) for one, other in zip(found, recorded, strict=True))


def finished() -> list[str]:
    """List the experiments and sweeps that have results, by name."""
    return sorted(path.parent.name for path in files.METRICS.glob("*/trainings.json"))


def read(name: str, file: str) -> Any:
    """Read a file of metrics/NAME/; None if it is not there."""
    path = files.METRICS / name / file
    return files.read_json(path) if path.is_file() else None
