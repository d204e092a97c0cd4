"""Is a result in the work tree the one that is committed? To the last bit, within the noise, or not at all.

Weights are compared by their hashes: equal ones make an equal result. On another processor last bits differ,
and what grows from that is noise if the test accuracy differs by no more than another test set of as many
images might have made it differ: the 95 % interval (regressions.py) of a result, or of all trials of a sweep
together.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from convlab import files, git
from convlab.errors import InputError
from convlab.pipeline.made_from import TrainingRecord
from convlab.results.folders import load, read
from convlab.results.regressions import CONFIDENCE, Scored, over_images
from convlab.results.states import changed, format_reasons

TRAINING, SCORES = {"of", "name", "seed", "status", "configuration"}, {"of", "seed"}  # keys of a record
TIMING = "timing.json"
OutcomeKind = Literal[
    "reproduced to the last bit", "reproduced within noise", "not reproduced", "not compared"
]


@dataclass(frozen=True)
class Outcome:
    """What became of a committed result, and by how much it differs."""

    name: str
    kind: OutcomeKind
    text: str = ""

    def __str__(self) -> str:
        return f"{self.name}: {self.kind}" + (f": {self.text}" if self.text else "")


def verify(name: str, revision: str = "HEAD") -> Outcome:
    """Compare an experiment or a sweep with what is committed of it.

    Raises:
        InputError: a file of it is damaged.
    """
    before, scores = (
        _committed(path.as_posix(), revision, keys)
        for path, keys in ((files.trainings(name), TRAINING), (files.scores(name), SCORES))
    )
    folder = load(name)
    if not before:
        return Outcome(name, "not compared", _missing(revision))
    if folder.problem:
        return Outcome(name, "not reproduced", folder.problem)
    if not folder.trainings:
        return Outcome(name, "not reproduced", "no result in the work tree")
    old, new = ({(one["name"], one["seed"]): one for one in side} for side in (before, folder.trainings))
    if other := _other_settings(old, new):
        return Outcome(
            name, "not compared", f"settings differ from the committed result: {format_reasons(other)}"
        )
    if _same(before, folder.trainings) and _same(scores, folder.scores):
        kept, timed = _not_computed(name, revision)
        if kept and kept == timed:
            return Outcome(
                name, "not compared", "not computed since the commit: the files are the committed ones"
            )
        means = [one.mean for one in _results(folder.trainings, folder.scores).values() if one.accuracies]
        spread = dict.fromkeys(f"{end:.2%}" for end in (min(means), max(means))) if means else {}
        parts = [f"test {' to '.join(spread)}"] if spread else []
        parts += [f"{kept} of {timed} trainings not computed since the commit"] if kept else []
        return Outcome(name, "reproduced to the last bit", "; ".join(parts))
    return _within_noise(name, _results(before, scores), _results(folder.trainings, folder.scores))


def _not_computed(name: str, revision: str) -> tuple[int, int]:
    """Return how many trainings have the committed clock, which every training sets anew, and how many have
    one at all."""
    committed = git.output_or_none("show", f"{revision}:./{(files.METRICS / name / TIMING).as_posix()}")
    try:
        before = json.loads(committed or "{}")
    except ValueError:
        before = {}
    now = read(name, TIMING) or {}
    if "fingerprint" in now:  # of an experiment: the first seed's, and all of them where there are several
        before, now = (
            {str(n): one for n, one in enumerate(side.get("seeds", [side]))} for side in (before, now)
        )
    clocks = {key: clock for key, clock in now.items() if clock}  # what was infeasible took no time
    return sum(before.get(key) == clock for key, clock in clocks.items()), len(clocks)


def _missing(revision: str) -> str:
    if git.output_or_none("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}") is None:
        return git.ownership_hint() or "this folder is not a git repository, or has no commits"
    return f"no committed result at {revision}"


def _other_settings(old: dict[Any, TrainingRecord], new: dict[Any, TrainingRecord]) -> list[str]:
    if len(old) != len(new):
        return [f"{len(new)} trainings in place of {len(old)}"]
    if other := [f"{name}, seed {seed}" for name, seed in new if (name, seed) not in old]:
        return [f"{other[0]}, which is not committed" + (f", and {len(other) - 1} more" if other[1:] else "")]
    reasons = [
        reason for key in old for reason in changed(old[key]["configuration"], new[key]["configuration"])
    ]
    return list(dict.fromkeys(reasons))


def _same(before: Sequence[TrainingRecord], now: Sequence[TrainingRecord]) -> bool:
    """Tell whether all numbers are equal, the hashes of the weights among them."""
    made = ("seal", "configuration", "code", "environment", "data", "fingerprint", "per_class", "device")
    sides = ([{k: v for k, v in one.items() if k not in made} for one in side] for side in (before, now))
    one, other = (sorted(side, key=lambda record: (record.get("name", ""), record["seed"])) for side in sides)
    return one == other


def _results(trainings: Sequence[TrainingRecord], scores: Sequence[TrainingRecord]) -> dict[str, Scored]:
    """Return the accuracies by trial; an experiment is one of its own name."""
    found: dict[str, Scored] = {}
    for record in [*trainings, *scores]:
        if "test" in record or record.get("status", "finished") != "finished":
            found.setdefault(record.get("name", record["of"]), Scored()).add(record)
    return found


def _within_noise(name: str, before: dict[str, Scored], now: dict[str, Scored]) -> Outcome:
    """Judge every trial, at a level corrected for k trials (Bonferroni).

    The one outside its interval is named, or else the one whose difference is largest relative to it: the
    intervals are not symmetric (Newcombe), so that these may be two.
    """
    confidence = 1 - (1 - CONFIDENCE) / max(len(before), 1)
    found = []
    for trial, old in before.items():
        new = now.get(trial, Scored())
        place = f"{trial}: " if trial != name else ""
        if old.stopped != new.stopped or len(old.accuracies) != len(new.accuracies):
            ended = ", ".join(sorted(set(new.stopped.values()))) or "not evaluated"
            return Outcome(name, "not reproduced", f"{place}{ended}")
        if old.accuracies:
            low, high = over_images(old, new, confidence)
            rise = new.mean - old.mean
            text = f"{place}{new.mean:.2%} here, {old.mean:.2%} committed, difference {100 * rise:+.2f} "
            text += f"[{100 * low:+.1f}, {100 * high:+.1f}]"
            found.append((not low <= 0 <= high, abs(rise) / (high - low), text))
    if not found:
        return Outcome(name, "reproduced within noise", "no trial has a number")
    outside, _, text = max(found)
    count = f"{len(found)} trials, at most " if len(found) > 1 else ""
    return Outcome(name, "not reproduced" if outside else "reproduced within noise", f"{count}{text}")


def _committed(path: str, revision: str, keys: set[str]) -> list[TrainingRecord]:
    content = git.output_or_none("show", f"{revision}:./{path}")
    if content is None:
        return []
    try:
        records = json.loads(content)
        assert all(record.keys() >= keys for record in records)
    except (ValueError, AttributeError, TypeError, AssertionError, RecursionError):
        raise InputError(f"{revision}:{path}: no records of trainings") from None
    return list(records)
