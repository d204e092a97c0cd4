"""Test accuracies against those of another git revision: which dropped, rose, are new or removed.

A difference counts if its 95 % interval excludes zero. With two seeds or more on both sides that is the
interval over seeds (intervals.py). With one seed on a side it is binomial: both accuracies are shares of n
test images, and the uncertainty is what another n images might have given (Newcombe's interval of the
difference of two shares, 1998, from Wilson's of each). The images are the same on both sides, which makes it
wide: it misses a small drop rather than raise a false alarm. It is also binomial if every seed differs by the
same amount: the interval over seeds would have no width, and a drop of one image in each of two seeds would
fail.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import hypot
from pathlib import PurePosixPath
from statistics import mean
from typing import Any, NamedTuple

from convlab import files, git
from convlab.errors import InputError
from convlab.results.folders import load
from convlab.results.gate import unfounded

CONFIDENCE = 0.95  # as in intervals.py
MOST_IMAGES = 1_000_000_000  # SciPy counts in 64 bits
FILES = ("scores.json", "trainings.json")
FAILED, ROSE, NOISE, EQUAL, NEW, REMOVED = "FAIL", "up", "ok", "equal", "new", "removed"
KINDS = {
    FAILED: "dropped",
    ROSE: "rose",
    NOISE: "changed within the noise",
    EQUAL: "equal",
    NEW: "new",
    REMOVED: "removed",
}


@dataclass
class Scored:
    """The trainings of an experiment or a trial: (seed, accuracy) of each, and what stopped the others.

    `unfounded`: why the accuracies are not those of the training that is recorded.
    """

    accuracies: list[tuple[Any, float]] = field(default_factory=list)
    images: int = 0
    stopped: dict[Any, str] = field(default_factory=dict)  # by seed
    unfounded: str = ""

    @property
    def mean(self) -> float:
        """The mean over seeds."""
        return mean(accuracy for _, accuracy in self.accuracies)

    def add(self, record: Mapping[str, Any]) -> None:
        """Add a training with its scores, or what stopped it.

        Raises:
            KeyError, TypeError, ValueError: its accuracy is missing or invalid.
        """
        seed = record.get("seed")
        if not isinstance(seed, int | None):
            raise TypeError
        if record.get("status", "finished") != "finished":
            self.stopped[seed] = str(record["status"])
            return
        accuracy, images = record["test"]["accuracy"], record["test"]["images"]
        if not 0 <= accuracy <= 1 or not isinstance(images, int) or not 1 <= images <= MOST_IMAGES:
            raise ValueError
        self.accuracies.append((seed, float(accuracy)))
        self.images = images


@dataclass(frozen=True)
class Change:
    """What became of a result: FAILED, ROSE, NOISE, EQUAL, NEW or REMOVED, and a text for it.

    `level`: of an accuracy that changed, the p-value of no change.
    """

    result: str
    kind: str
    text: str
    level: float | None = None


def against(revision: str) -> list[Change]:
    """Compare metrics/ with what it holds at another revision, result by result.

    Raises:
        InputError: there is no such revision, or a file of one side is damaged.
    """
    before, now = _read(_committed(revision)), present()
    for name in before.keys() - now.keys():
        if files.trainings(name).is_file():  # trained but not scored: not removed
            now[name] = Scored()
    for name, result in now.items():
        result.unfounded = unfounded(name) if "/" not in name else _inconsistent(name)
    changes = [_change(name, before.get(name), now.get(name)) for name in dict.fromkeys([*before, *now])]
    return _among_all(changes, before, now)


def _among_all(
    changes: list[Change], before: Mapping[str, Scored], now: Mapping[str, Scored]
) -> list[Change]:
    """Keep only the changes that hold at 95 % for all compared results together (Holm, 1979).

    Of fifty results that vary by chance alone, two or three would fall outside their own intervals.
    """
    moved = [index for index, change in enumerate(changes) if change.level is not None]
    held = dict(zip(moved, _holm([changes[index].level or 0.0 for index in moved]), strict=True))
    for index in moved:
        change = changes[index]
        if change.kind in (FAILED, ROSE) and not held[index]:
            text = f"{change.text}, not significant among {len(moved)} changes (Holm)"
            changes[index] = replace(change, kind=NOISE, text=text)
    return changes


def _holm(levels: list[float]) -> list[bool]:
    from convlab.results.intervals import holm

    return holm(levels) if levels else []


def _inconsistent(trial: str) -> str:
    """Return why a trial is not a valid result; its facts and scores are one record."""
    problem = load(trial.partition("/")[0]).problem
    return f"is inconsistent: {problem}" if problem else ""


def _change(name: str, before: Scored | None, now: Scored | None) -> Change:
    if now is None:
        was = f"was {before.mean:.4f}" if before and before.accuracies else "had no accuracy"
        return Change(name, REMOVED, was)
    if now.unfounded:
        return Change(name, FAILED, now.unfounded)
    ended = " and ".join(sorted(set(now.stopped.values())))
    if before and now.stopped.items() - before.stopped.items():
        return Change(name, FAILED, f"no longer has a number for each seed: {ended}")
    if not now.accuracies:
        return Change(name, EQUAL if before else NEW, f"has no accuracy: {ended}")
    if not before or not before.accuracies:
        return Change(name, NEW, f"is {now.mean:.4f}")
    if [found for _, found in before.accuracies] == [found for _, found in now.accuracies]:
        return Change(name, EQUAL, f"is {now.mean:.4f}")
    value, low, high, over = interval(before, now)
    text = f"{before.mean:.4f} → {now.mean:.4f}, {100 * value:+.2f} points "
    text += f"[{100 * low:+.2f}, {100 * high:+.2f}] {over}"
    return Change(name, FAILED if high < 0 else ROSE if low > 0 else NOISE, text, _level(before, now))


def _level(before: Scored, now: Scored) -> float:
    """Return the p-value of no change, by the interval that just excludes zero."""
    from convlab.results.intervals import level

    def settled(confidence: float) -> bool:
        rise = interval(before, now, confidence)
        return rise.low > 0 or rise.high < 0

    return level(settled)


def present() -> dict[str, Scored]:
    """Return the trainings of metrics/, by the names of their results.

    Raises:
        InputError: a file is damaged.
    """
    return _read(_present())


class Rise(NamedTuple):
    """By how much an accuracy rose, both ends of the interval, and what that is over.

    Over seeds that both sides have, the rise is theirs: one side may have others, too.
    """

    value: float
    low: float
    high: float
    over: str


def interval(before: Scored, now: Scored, confidence: float = CONFIDENCE) -> Rise:
    """Return the rise in accuracy, with its interval."""
    # brings SciPy, which a plain `convlab check` can do without
    from convlab.results.intervals import interval_of_difference

    difference = interval_of_difference(now.accuracies, before.accuracies)
    if difference and (ends := difference.interval(confidence)):
        return Rise(difference.value, *ends, f"over {difference.n} seeds")
    ends = over_images(before, now, confidence)
    return Rise(now.mean - before.mean, *ends, f"over {now.images:,} images")


def over_images(before: Scored, now: Scored, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return the interval of the rise in accuracy that another set of as many test images may have shown."""
    (low_a, high_a), (low_b, high_b) = (_wilson(side.mean, side.images, confidence) for side in (now, before))
    rise = now.mean - before.mean
    low = rise - hypot(now.mean - low_a, high_b - before.mean)
    return low, rise + hypot(high_a - now.mean, before.mean - low_b)


def _wilson(share: float, count: int, confidence: float) -> tuple[float, float]:
    from scipy import stats

    found = stats.binomtest(round(share * count), count).proportion_ci(confidence, method="wilson")
    return float(found.low), float(found.high)


def _read(contents: Iterator[tuple[str, str | bytes]]) -> dict[str, Scored]:
    """Collect the results of metrics/*/scores.json and metrics/*/trainings.json, by their names."""
    results: dict[str, Scored] = {}
    for path, content in contents:
        try:
            for record in json.loads(content):
                if "test" in record or record.get("status", "finished") != "finished":
                    tried = "name" in record
                    name = f"{record['of']}/{record['name']}" if tried else record["of"]
                    results.setdefault(name, Scored()).add(record)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise InputError(f"{path}: not the results of trainings, each with a test accuracy") from None
    return results


def _present() -> Iterator[tuple[str, str | bytes]]:
    for path in sorted(path for file in FILES for path in files.METRICS.glob(f"*/{file}") if path.is_file()):
        yield path.as_posix(), path.read_bytes()


def _committed(revision: str) -> Iterator[tuple[str, str | bytes]]:
    commit = git.commit_of(revision)
    if commit is None:
        raise InputError(f"--against: {git.why_no_commit(revision, f'found {revision!r}')}")
    listed = git.output_or_none("ls-tree", "-r", "--name-only", commit, f"{files.METRICS}/") or ""
    for path in sorted(path for path in listed.splitlines() if PurePosixPath(path).name in FILES):
        yield f"{revision}:{path}", git.output_or_none("show", f"{commit}:./{path}") or ""
