"""Results side by side: the parameters and the metrics in which they differ, with intervals.

A result is named `EXPERIMENT` or `SWEEP/TRIAL`, as everywhere; `@REV` behind it means that of a git revision.
"""

import io
import os
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager, nullcontext
from dataclasses import dataclass, replace
from statistics import mean
from typing import Any

from convlab import claims, compare, files, records, results
from convlab.errors import InputError
from convlab.explain import nearest, show
from convlab.schema import METRICS

# What is compared, in the order of a table; only METRICS get an interval
NUMBERS = (*METRICS, "epochs", "seconds", "parameters")


@dataclass(frozen=True)
class Subject:
    """A result, as it is compared: its configuration by dotted keys, and (seed, number) of every metric."""

    name: str
    hardware: str
    params: Mapping[str, str]
    numbers: Mapping[str, list[tuple[Any, float]]]
    accuracies: compare.Result
    fingerprints: tuple[str, ...]

    def values(self, metric: str) -> list[float]:
        """Return a metric's number of each training."""
        return [number for _, number in self.numbers[metric]]


@dataclass(frozen=True)
class Difference:
    """The mean difference of two subjects, and its 95 % interval, if there is one, with what it is over."""

    value: float
    interval: tuple[float, float] | None
    over: str = ""


def load(text: str) -> Subject:
    """Read the result that `RESULT` or `RESULT@REV` names.

    Raise:
        InputError: there is no such revision, or the result has not run in it.
    """
    result, at, revision = text.partition("@")
    with _checked_out(result, revision) if at else nullcontext():
        try:
            found = subjects([result.partition("/")[0]])
        except InputError as error:  # its configuration may be of before the schema of today
            raise InputError(f"{text}: {error}") from None
        if result in found:
            return replace(found[result], name=text)
        known = [*found, *(name for name in records.finished() if name not in found)]
    where = f" at {revision}" if at else ""
    raise InputError(f"found {show(result)}, which has not run{where}{nearest(result, known or ['none'])}")


def subjects(names: Sequence[str] | None = None) -> dict[str, Subject]:
    """Return every result of some experiments and sweeps (or of all) that has run, by its name.

    Raise:
        InputError: one of their files is damaged.
    """
    accuracies = compare.present()
    found = {}
    for result, runs in records.by_result(names).items():
        rows = results.rows(result)
        if not rows:
            continue
        found[result] = Subject(
            name=result,
            hardware=", ".join(results.Found(rows).hardware()),
            params={key: text for key, text in runs[0].params.items() if key not in ("seed", "status")},
            numbers={metric: claims.by_seed(results.Found(rows), metric) for metric in NUMBERS},
            accuracies=accuracies.get(result, compare.Result()),
            fingerprints=tuple(row["fingerprint"] for row in rows),
        )
    return found


def params_that_differ(several: Sequence[Subject]) -> dict[str, list[str]]:
    """Return the values of each parameter that is not the same in all, by its key; "–" where one has none."""
    keys = dict.fromkeys(key for one in several for key in one.params)
    table = {key: [one.params.get(key, "–") for one in several] for key in keys}
    return {key: row for key, row in table.items() if len(set(row)) > 1}


def difference(metric: str, a: Subject, b: Subject) -> Difference | None:
    """Compare a with b; None where one has no such number.

    The interval is over seeds where both sides have two or more; of a test accuracy else over the test
    images, where those are of the same data set.
    """
    if not (a.numbers[metric] and b.numbers[metric]):
        return None
    if metric not in METRICS:
        return Difference(mean(a.values(metric)) - mean(b.values(metric)), None)
    if metric == "test_accuracy" and a.params.get("dataset") == b.params.get("dataset"):
        value = mean(a.values(metric)) - mean(b.values(metric))
        if a.fingerprints != b.fingerprints and a.accuracies.images and b.accuracies.images:
            low, high, over = compare.interval(b.accuracies, a.accuracies)
            return Difference(value, (low, high), over)
    n, value_, interval = claims.compare(a.numbers[metric], b.numbers[metric])
    return Difference(value_ or 0.0, interval, f"over {n} seeds" if interval else "")


@contextmanager
def _checked_out(result: str, revision: str) -> Iterator[None]:
    """Work in a temporary folder that holds a result's files as they were at a revision."""
    found = _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if found is None:
        raise InputError(
            f"found {show(revision)} after the @; allowed: a branch, tag or commit of this git repository"
        )
    commit, name = found.decode().strip(), result.partition("/")[0]
    wanted = (files.METRICS / name, files.PLOTS / name / "curves.csv", files.config(name), files.PARAMS)
    listed = _git("ls-tree", "-r", "--name-only", "-z", commit, "--", *(path.as_posix() for path in wanted))
    paths = [os.fsdecode(path) for path in (listed or b"").split(b"\0") if path]
    with tempfile.TemporaryDirectory(prefix="convlab-") as folder:
        if paths:
            archive = _git("archive", "--format=tar", commit, "--", *paths) or b""
            with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
                tar.extractall(folder, filter="data")
        with chdir(folder):
            yield


def _git(command: str, *arguments: str) -> bytes | None:
    """Return what git says, or None if it refuses, or is not there."""
    try:
        return subprocess.run(["git", command, *arguments], capture_output=True, check=True).stdout
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
