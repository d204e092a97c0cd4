"""All that the book reads, in one place: what ran, how it was configured, curves, what the reports say."""

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convlab import files, markdown, results
from convlab.config import load_params
from convlab.results import Found, Plan, claims, compare, folders, report_consistency, reports, tables
from convlab.results.figure_data import readable
from convlab.results.reports import Line, Report
from convlab.schema import Params

if TYPE_CHECKING:
    from pandas import DataFrame

CURVES = ("train_accuracy", "validation_accuracy", "train_loss", "validation_loss", "lr")  # what is drawn
OTHERS = "others"  # the page of the results that no report has


@dataclass(frozen=True)
class Chapter:
    """A report, or the results that belong to none: its rows, its claims, and the results they refer to."""

    name: str
    title: str
    report: Report | None
    lines: list[Line]
    claims: list[dict[str, Any]]
    results: list[str]  # in the order of the rows, each once; then all trials of the sweeps, in their order

    @property
    def names(self) -> list[str]:
        """The experiments and sweeps that `results` belong to."""
        return list(dict.fromkeys(result.partition("/")[0] for result in self.results))

    @property
    def goals(self) -> bool:
        """Whether its rows have goals of ours where a report has its numbers."""
        return any(line.row.goal is not None for line in self.lines)


@dataclass(frozen=True)
class Contents:
    """What the pages are made from."""

    settings: Params
    plans: Mapping[str, Plan]
    chapters: list[Chapter]
    trainings: "DataFrame"  # see `results.frame`
    configurations: Mapping[str, Mapping[str, str]]  # by result; see `compare.configurations`

    def of(self, result: str) -> "DataFrame":
        """Return the rows of `trainings` that belong to a result."""
        return self.trainings[self.trainings["result"] == result]

    def found(self, result: str) -> Found:
        """Return the trainings of a result, as its tables and claims take them."""
        return results.find(result, self.plans)

    def params(self, result: str) -> dict[str, str]:
        """Return the configuration of a result by dotted keys; empty where it has not run."""
        return dict(self.configurations.get(result, {})) if result in self.labels else {}

    @cached_property
    def claims(self) -> list[dict[str, Any]]:
        """Every judged claim, in the order of the chapters."""
        return [claim for chapter in self.chapters for claim in chapter.claims]

    @cached_property
    def labels(self) -> dict[str, str]:
        """The label of each result that has run: its name, and the rows of the reports that it stands for."""
        rows: dict[str, list[str]] = {result: [] for result in self.trainings["result"].unique()}
        for chapter in self.chapters:
            for line in chapter.lines:
                if line.row.result in rows:
                    rows[line.row.result].append(f"{chapter.name} {line.row.what}")
        return {result: result + (f" ({'; '.join(what)})" if what else "") for result, what in rows.items()}

    @cached_property
    def same(self) -> dict[str, str]:
        """For each result, the first one that consists of the same trainings."""
        first: dict[tuple[str, ...], str] = {}
        found = {}
        for result, rows in self.trainings.groupby("result", sort=False):
            found[str(result)] = first.setdefault(tuple(rows["fingerprint"]), str(result))
        return found


def load() -> Contents:
    """Read params.yaml, reports.yaml, metrics/ and plots/.

    Raises:
        InputError: one of them is wrong or damaged.
    """
    plans = results.load_plans()
    params, told = load_params(files.PARAMS), reports.load_reports(plans)
    judged = report_consistency.beside(claims.judge_all(params, plans), told, claims.by_result(params))
    chapters = list(_chapters(plans, told, judged))
    return Contents(params, plans, chapters, results.frame(plans), compare.configurations())


def curves(name: str) -> dict[str, list[list[dict[str, Any]]]]:
    """Return the rows of curves.csv of an experiment or a sweep: by result, a list per seed.

    Raises:
        InputError: the file is damaged, or lacks a column of CURVES.
    """
    found: dict[str, list[list[dict[str, Any]]]] = {}
    for (trial, _), rows in folders.curves(name).items():
        with readable(files.PLOTS / name / "curves.csv"):
            if missing := [key for key in CURVES if key not in rows[0]]:
                raise ValueError(f"no column {', '.join(missing)}")
        found.setdefault(f"{name}/{trial}" if "trial" in rows[0] else name, []).append(rows)
    return found


def steps(name: str, most: int) -> dict[str, list[float]]:
    """Return the steps of an experiment's first seed, as columns of at most `most` means.

    Empty if there are none here: DVC keeps iterations.csv, git does not.

    Raises:
        InputError: the file is damaged.
    """
    import numpy
    import pandas

    path = files.PLOTS / name / "iterations.csv"
    if not path.is_file() or not path.stat().st_size:
        return {}
    columns = ["iteration", "loss", "accuracy", "lr"]
    with readable(path):
        table = pandas.read_csv(path)
        if missing := [key for key in columns if key not in table]:
            raise ValueError(f"no column {', '.join(missing)}")
        if not numpy.isfinite(table[columns].astype(float)).all(axis=None):
            raise ValueError("a number is missing or not finite")
    if "seed" in table:
        table = table[table["seed"] == table["seed"].iloc[0]]
    size = -(-len(table) // most) or 1
    means = table[columns].groupby(lambda row: row // size).mean()
    return {key: [float(f"{value:.5g}") for value in column] for key, column in means.items()}


def figures(name: str) -> list[Path]:
    """Return the images that an experiment or a sweep has, by name."""
    found = (files.PLOTS / name / "figures").glob("*")
    return sorted(path for path in found if path.suffix in (".png", ".svg"))


def prose(name: str) -> str:
    """Return what docs/reports.md says beside a report's table, as Markdown without tables and images, which
    the page has; a link is its text and the path in the repository, which a book may be far from."""
    if not tables.PAGE.is_file():
        return ""
    sections = re.split(r"^## .*\n", markdown.read(tables.PAGE), flags=re.MULTILINE)
    section = next((text for text in sections if f"<!-- {name} -->" in text), "")
    section = re.sub(rf"<!-- {name} -->.*<!-- /{name} -->|<!-- .*? -->", "", section, flags=re.DOTALL)
    section = re.sub(r"(?<!!)\[([^\]]*)\]\(([^)#]*)[^)]*\)", _unlinked, section)
    kept = (line for line in section.splitlines() if not line.startswith(("|", "![")))
    return "\n".join(kept).strip()


def _unlinked(link: re.Match[str]) -> str:
    """Return a link of docs/reports.md as text: `curves, plots/NAME/figures/curves.png`."""
    text, target = link.groups()
    if not target:  # a place in the page itself
        return text
    path = target if "://" in target else posixpath.normpath(f"{tables.PAGE.parent}/{target}")
    return f"`{path}`" if text.strip("`") == path else f"{text}, `{path}`"


def _chapters(
    plans: Mapping[str, Plan], told: Mapping[str, Report], judged: list[dict[str, Any]]
) -> Iterator[Chapter]:
    spoken_of = set[str]()
    for name, report in told.items():
        lines = [reports.line_of(row, plans) for row in report.rows]
        own = [claim for claim in judged if claim["report"] == name]
        rows = _once(line.row.result for line in lines)
        named = _once([*rows, *(claim[side] for claim in own for side in "ab")])
        names = {result.partition("/")[0] for result in named}
        beside = [result for result in plans if "/" in result and result.partition("/")[0] in names]
        spoken_of |= names
        yield Chapter(name, report.title, report, lines, own, _once([*rows, *beside, *named]))
    others = [result for result in plans if result.partition("/")[0] not in spoken_of]
    if any(results.status(result) != "not run" for result in others):
        yield Chapter(OTHERS, "Results that no report has", None, [], [], others)


def _once(named: Iterable[str | None]) -> list[str]:
    return list(dict.fromkeys(result for result in named if result is not None))
