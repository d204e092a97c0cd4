"""What is said about results: the report's row, the verdicts of claims, what differs from the last commit."""

import re
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, assert_never

from convlab import files, git
from convlab.config import load_params, trials_of
from convlab.errors import InputError
from convlab.pipeline.made_from import Flat, flat
from convlab.results import QUANTITIES, Plan, claims, load_plans, reports
from convlab.results.reports import Line
from convlab.schema import Experiment, Params, Sweep

MOST_SHOWN = 3  # differences in the name of a run


@dataclass(frozen=True)
class Descriptions:
    """What params.yaml and reports.yaml say of results, and params.yaml as it is committed.

    `rows` are (report, its row with ours beside it), `judged` the claims with their verdicts, and
    `dvc_experiment` whose results these are, where they are read from its commit, and `book` the address of
    its pages, where there is one.
    """

    plans: Mapping[str, Plan] = field(default_factory=dict)
    rows: Sequence[tuple[str, Line]] = ()
    judged: Sequence[Mapping[str, Any]] = ()
    committed: Params | None = None
    dvc_experiment: str | None = None
    book: str | None = None

    def changes(self, name: str, item: Experiment | Sweep) -> Flat:
        """Return the settings in which all trainings of an item differ from the commit, by dotted key."""
        if self.committed is None:
            return {}
        before = self.committed.experiments.get(name) or self.committed.sweeps.get(name)
        if before is None:
            return {}
        old = {(trial.name, trial.experiment.seed): trial.experiment for trial in trials_of(name, before)}
        now = {(trial.name, trial.experiment.seed): trial.experiment for trial in trials_of(name, item)}
        if isinstance(item, Experiment) and isinstance(before, Experiment):
            old, now = {("", 0): before}, {("", 0): item}
        pairs = [(flat(old[key]), flat(now[key])) for key in now if key in old]
        changed = [{key: value for key, value in new.items() if was.get(key) != value} for was, new in pairs]
        first, *others = changed or [{}]
        return {key: value for key, value in first.items() if all(o.get(key) == value for o in others)}

    def describe(self, name: str, item: Experiment | Sweep, result: str, timing: Mapping[str, Any]) -> str:
        """Return, in Markdown, a result's rows in the reports, its claims' verdicts, where the book has it,
        and how to rerun it.

        `result` is the item itself, or a sweep's trial.
        """
        parts = [_rows(self.rows, result), _verdicts(self.judged, result), self._pages(result)]
        parts.append(f"Run it again: {_command(name, item, self.changes(name, item), timing)}")
        return "\n\n".join(filter(None, parts))

    def _pages(self, result: str) -> str:
        """Name the pages of the book that have a result: links, where the clone's origin is on GitHub."""
        about = [report for report, line in self.rows if _of(result, line.row.result)]
        about += [row["report"] for row in self.judged if _of(result, row["a"]) or _of(result, row["b"])]
        pages = [f"reports/{report}.html" for report in dict.fromkeys(about or ["others"])]
        if self.book is None:
            return f"In the book, by `make book`: {', '.join(f'`{files.BOOK / page}`' for page in pages)}"
        return f"In the book: {', '.join(f'[{page}]({self.book}/{page})' for page in pages)}"


def load(
    base: str = "HEAD", dvc_experiment: str | None = None, names: Collection[str] | None = None
) -> Descriptions:
    """Read what is there; where params.yaml or reports.yaml is wrong, nothing is said about results.

    `base`: the commit whose params.yaml is the one that was committed; `names`: the experiments and sweeps
    that are to be described, by default all.
    """
    try:
        params = load_params(files.PARAMS)
        plans = load_plans(params)
        wanted = [*params.experiments, *params.sweeps] if names is None else names
        experiments = claims.by_result(params)
        judged = [
            claims.judge(name, claim, plans, experiments)
            for name, claim in params.claims.items()
            if any(_of(one, claim.a) or _of(one, claim.b) for one in wanted)
        ]
        found = reports.load_reports(plans) if reports.REPORTS.is_file() else {}
        rows = [
            (name, reports.line_of(row, plans))
            for name, report in found.items()
            for row in report.rows
            if any(_of(one, row.result) for one in wanted)
        ]
    except InputError:
        return Descriptions(committed=_committed(base, None), dvc_experiment=dvc_experiment)
    return Descriptions(plans, rows, judged, _committed(base, params), dvc_experiment, _published())


def run_name(result: str, changes: Flat, seed: int | None, dvc_experiment: str | None) -> str:
    """Return a name that distinguishes a run from others: `digits lr=0.01 seed=2 [fast-lark]`."""
    shown = [f"{key}={value}" for key, value in changes.items() if key != "seed" or seed is None]
    if len(shown) > MOST_SHOWN:
        shown[MOST_SHOWN:] = [f"+{len(shown) - MOST_SHOWN} more"]
    if seed is not None:
        shown.append(f"seed={seed}")
    return " ".join([result, *shown, *([f"[{dvc_experiment}]"] if dvc_experiment else [])])


def _published() -> str | None:
    """Return where GitHub shows the book of the clone's origin (.github/workflows/book.yml puts it there)."""
    origin = git.output_or_none("remote", "get-url", "origin") or ""
    found = re.search(r"github\.com[:/]([\w-]+)/([\w.-]+?)(?:\.git)?/?$", origin.strip())
    return f"https://{found[1].lower()}.github.io/{found[2]}" if found else None


def _committed(base: str, current: Params | None) -> Params | None:
    """Return params.yaml of a commit, which may be the current one; None where none can be read."""
    texts = {path: git.output_or_none("show", f"{base}:./{path}") for path in (files.PARAMS, files.STUDIES)}
    if texts[files.PARAMS] is None:
        return None
    try:
        if current and all(text == _text(path) for path, text in texts.items()):
            return current
        with tempfile.TemporaryDirectory() as folder:
            for path, text in texts.items():
                if text is not None:
                    files.write_text(Path(folder) / path, text)
            return load_params(Path(folder) / files.PARAMS)
    except (OSError, ValueError, InputError):
        return None


def _text(path: Path) -> str | None:
    return path.read_bytes().decode() if path.is_file() else None


def _of(result: str, other: str | None) -> bool:
    """Tell whether `other` is a result, or a trial of it."""
    return other is not None and (other == result or other.startswith(f"{result}/"))


def _rows(rows: Sequence[tuple[str, Line]], result: str) -> str:
    """List what the reports have of a result, with ours; of a sweep's trials what counts first."""
    told = []
    for report, line in rows:
        if not _of(result, line.row.result):
            continue
        numbers = reports.numbers_of(report, line)
        for number in numbers if line.row.result == result else numbers[:1]:
            quantity = QUANTITIES[number["quantity"]]
            theirs, goal, ours = (
                "" if number[key] is None else quantity.scale.text(number[key])
                for key in ("report_value", "goal", "ours")
            )
            sd = "" if number["sd"] is None else format(number["sd"], quantity.scale.form(number["ours"]))
            wanted = (
                f"{theirs} in the report" if theirs else f"the goal is {goal}" if goal else "not reported"
            )
            here = (
                f"{ours} ± {sd.removesuffix('%')} here (n = {number['n']})" if sd else f"{ours or '–'} here"
            )
            told.append(f"* {report}, {line.row.what}: {quantity.title} {wanted}, {here}")
    return "\n".join(told)


def _verdicts(judged: Sequence[Mapping[str, Any]], result: str) -> str:
    """List the claims about a result, with their verdicts."""
    told = []
    for row in judged:
        if (_of(result, row["a"]) or _of(result, row["b"])) and row["verdict"] != "not run":
            reason = row["reason"] or claims.shown(row)
            told.append(f"* {row['report']} says that {row['says']}: **{row['verdict']}** ({reason})")
    return "\n".join(told)


def _command(name: str, item: Experiment | Sweep, changes: Flat, timing: Mapping[str, Any]) -> str:
    """Return what a user types to train an item again, from the commit that it was trained at, and what the
    settings of a sweep were."""
    commit = timing.get("git_commit")
    at = f"git checkout {commit[:12]} && " if commit else ""
    values = {key: "null" if value == "None" else value for key, value in changes.items()}
    match item:
        case Sweep():  # whose keys may be its experiment's, a default, or its own in studies.yaml
            told = f"`{at}dvc exp run -S 'run_sweeps=[{name}]' sweep@{name}`"
            return f"{told}, with {', '.join(f'{k}: {v}' for k, v in values.items())}" if values else told
        case Experiment():
            settings = "".join(f" -S '++experiments.{name}.{key}={value}'" for key, value in values.items())
            return f"`{at}dvc exp run -S 'run=[{name}]'{settings} evaluate@{name}`"
        case _:
            assert_never(item)
