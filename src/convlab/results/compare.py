"""Results side by side: the parameters and the metrics in which they differ, with intervals.

A result is named `EXPERIMENT` or `SWEEP/TRIAL`, as everywhere; `@REV` after it means that of a git revision
or of a DVC experiment.
"""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import chain, islice, product
from itertools import count as counted
from statistics import mean
from string import ascii_uppercase

from convlab import files, results
from convlab.config import load_params
from convlab.config.explain import nearest
from convlab.config.names import check_name
from convlab.config.resolved import inline
from convlab.errors import InputError
from convlab.pipeline.made_from import configuration, flat
from convlab.results import claims, intervals, lending, regressions
from convlab.results.folders import load as load_folder
from convlab.results.intervals import Borrowed
from convlab.results.quantities import difference_text
from convlab.results.read import Found
from convlab.results.revisions import checked_out
from convlab.schema import METRICS

# What is compared, in the order of a table; only METRICS get an interval
COMPARED = (*METRICS, "epochs", "seconds", "parameters")


@dataclass(frozen=True)
class Subject:
    """A result, as it is compared: its trainings, and its configuration by dotted keys.

    `base`: the experiment that it is or varies; `lenders`: the standard deviations of the test accuracy that
    a single training may borrow.
    """

    name: str
    found: Found
    params: Mapping[str, str]
    base: str
    lenders: Mapping[str, Borrowed]

    @property
    def dataset(self) -> str | None:
        """The data set that it was trained on."""
        return self.params.get("dataset")

    @property
    def fingerprints(self) -> list[str]:
        """Which trainings it is: two results may be the same."""
        return [row["fingerprint"] for row in self.found.trainings]

    def scored(self) -> regressions.Scored:
        """Return its accuracies on the test images, as they are compared with another revision's."""
        rows = self.found.trainings
        return regressions.Scored(
            [(row["seed"], row["test"]["accuracy"]) for row in rows], rows[0]["test"]["images"]
        )

    def values(self, metric: str) -> list[float]:
        """Return a metric's number of each training."""
        return self.found.values(metric)


@dataclass(frozen=True)
class MetricDifference:
    """The mean difference of two subjects, and its 95 % interval, if there is one, with what it is over."""

    value: float
    interval: tuple[float, float] | None
    over: str = ""

    def text(self, metric: str) -> str:
        """Return it with its interval and what that is over: `-1.26 [-1.64, -0.88] over 3 seeds`."""
        ends = [difference_text(metric, end) for end in self.interval or ()]
        shown = f" [{', '.join(ends)}] {self.over}" if ends else ""
        return difference_text(metric, self.value) + shown


def load(text: str) -> Subject:
    """Read the result that `RESULT` or `RESULT@REV` names.

    Raises:
        InputError: there is no such revision, or the result has not run in it.
    """
    result, at, revision = text.partition("@")
    check_name(result.partition("/")[0], text)
    with checked_out(result, revision) if at else nullcontext():
        try:
            found = subjects([result.partition("/")[0]])
        except InputError as error:  # its configuration may be older than the current schema
            older = "; it may be older than the current settings" if at else ""
            raise InputError(f"{text}: {error}{older}") from None
        if result in found:
            return replace(found[result], name=text)
        if problem := load_folder(result.partition("/")[0]).problem:
            raise InputError(f"{text}: {problem}")
        known = [*found, *(folder.name for folder in sorted(files.METRICS.glob("*/")))]
    where = f" at {revision}" if at else ""
    raise InputError(f"found {result!r}, which has not run{where}{nearest(result, known)}")


def subjects(names: Sequence[str] | None = None) -> dict[str, Subject]:
    """Return every result of some experiments and sweeps (or of all) that has run, by its name.

    Raises:
        InputError: one of their files is damaged.
    """
    lenders = _lenders()
    found = {}
    for result, params in configurations(names).items():
        if rows := results.rows(result):
            found[result] = Subject(result, Found(rows), params, *lenders.get(result, ("", {})))
    return found


def configurations(names: Sequence[str] | None = None) -> dict[str, dict[str, str]]:
    """Return what every result of some experiments and sweeps (or of all) was configured as, by dotted keys.

    Without the seed: those of its first training stand for all. Among all, one that is not valid under the
    current schema (of an experiment or a data set that was removed since) is left out.

    Raises:
        InputError: a configuration is damaged, or one of those that were asked for is not valid.
    """
    found: dict[str, dict[str, str]] = {}
    for folder in sorted(files.METRICS.glob("*/")):
        for record in load_folder(folder.name).trainings if names is None or folder.name in names else ():
            name = folder.name if record["name"] == folder.name else f"{folder.name}/{record['name']}"
            if name in found:
                continue
            try:
                found[name] = flat(configuration(record), inline)
            except InputError:
                if names is not None:
                    raise
                continue
            found[name].pop("seed")
    return found


def _lenders() -> dict[str, tuple[str, Mapping[str, Borrowed]]]:
    """Return of each result the experiment that it is or varies, and the lenders on its data set."""
    if not files.PARAMS.is_file():  # of a revision without one
        return {}
    params = load_params(files.PARAMS)
    experiments = claims.by_result(params)
    datasets = {experiment.dataset for experiment in experiments.values()}
    found = {name: lending.lenders("test_accuracy", name, experiments) for name in datasets}
    plans = results.load_plans(params)
    return {name: (plan.base, found[experiments[name].dataset]) for name, plan in plans.items()}


def params_that_differ(several: Sequence[Subject]) -> dict[str, list[str]]:
    """Return the values of each parameter that is not the same in all, by its key; "–" where one has none.

    A section that one of them leaves empty is that value for each of its keys: `early_stopping.patience` is
    7 and null.
    """
    keys = dict.fromkeys(key for one in several for key in one.params)
    sections = {above for key in keys for above in _above(key)}
    table = {key: [_setting(one.params, key) for one in several] for key in keys if key not in sections}
    return {key: row for key, row in table.items() if len(set(row)) > 1}


def _setting(params: Mapping[str, str], key: str) -> str:
    return next((params[one] for one in (key, *_above(key)) if one in params), "–")


def _above(key: str) -> list[str]:
    """Return the sections that a dotted key is in, the innermost first."""
    parts = key.split(".")
    return [".".join(parts[:end]) for end in range(len(parts) - 1, 0, -1)]


def letters(count: int) -> list[str]:
    """Return what `count` subjects are called in a table: A to Z, then AA, AB, …"""
    by_length = (product(ascii_uppercase, repeat=length) for length in counted(1))
    return ["".join(signs) for signs in islice(chain.from_iterable(by_length), count)]


def difference(metric: str, a: Subject, b: Subject) -> MetricDifference | None:
    """Compare a with b, as a claim on three seeds or more is judged; None where one has no such number.

    The interval is over seeds if both sides have two or more (a claim on two pools the standard deviation
    over its study). With one seed on a side, only a test accuracy has one: by a borrowed standard deviation,
    else over the test images. None between equal trainings, or two data sets.
    """
    ours, theirs = (claims.numbers_by_seed(one.found, metric) for one in (a, b))
    if not (ours and theirs):
        return None
    value = mean(number for _, number in ours) - mean(number for _, number in theirs)
    alike = a.dataset == b.dataset and a.fingerprints != b.fingerprints
    if metric not in METRICS or not alike:
        return MetricDifference(value, None)
    single = min(len(ours), len(theirs)) == 1
    borrows = single and metric == "test_accuracy"
    borrowed = lending.lent(a.lenders or b.lenders, a.base, b.base) if borrows else None
    images = claims.images_error_of(metric, (a.found, b.found))
    found = intervals.interval_of_difference(ours, theirs, images=images, borrowed=borrowed)
    interval = found.interval() if found else None
    if found and interval:
        lender = f"(spread of {borrowed.result})" if borrowed else ""
        over = f"over {found.n} seeds" if found.n > 1 else lender
        return MetricDifference(found.value, interval, over)
    if metric == "test_accuracy" and single:
        rise = regressions.interval(b.scored(), a.scored())
        return MetricDifference(rise.value, (rise.low, rise.high), rise.over)
    return MetricDifference(value, None)
