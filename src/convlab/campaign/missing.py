"""The experiments and sweeps whose results the tables and claims lack, and why."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import assert_never

from convlab import results
from convlab.config import load_params, trials_of
from convlab.config.explain import nearest
from convlab.config.seed_counts import Item, holding, seeds_of, with_seeds
from convlab.errors import InputError
from convlab.files import PARAMS
from convlab.results import Plan, claims
from convlab.results.reports import REPORTS, load_reports
from convlab.results.states import State, state_of
from convlab.schema import Params

OPEN = ("not run", "inconclusive")  # verdicts that more trainings may settle


@dataclass(frozen=True)
class MissingResult:
    """An experiment or a sweep to be trained.

    `rank`: 0 if there is no result, 1 if it is stale or inconsistent, 2 if it is shortened, 3 if it only
    lacks seeds. It may fill so many `rows` of the reports' tables and settle these `claims`. `more_seeds`:
    params.yaml has fewer seeds than `item`.
    """

    name: str
    item: Item
    why: str
    rank: int
    rows: int
    claims: tuple[str, ...]
    more_seeds: bool = False

    @property
    def worth(self) -> int:
        """How many rows and claims wait for it."""
        return self.rows + len(self.claims)


def missing_results(names: Collection[str], seeds: int | None) -> list[MissingResult]:
    """Return what is missing, only of `names` if there are any, and with up to `seeds` seeds if given.

    Raises:
        InputError: params.yaml, reports.yaml or a result is wrong, or a name is unknown.
    """
    params = load_params(PARAMS)
    items: Mapping[str, Item] = {**params.experiments, **params.sweeps}
    for name in names:
        if name not in items:
            raise InputError(f"NAME: found {name!r}{nearest(name, items)}")
    plans = results.load_plans()
    waiting, undecided = _rows(plans), _undecided(params, plans)
    found = []
    for name, declared in items.items():
        if names and name not in names:
            continue
        more = seeds is not None and seeds_of(declared) < seeds
        item = with_seeds(declared, seeds) if more and seeds else declared
        state = state_of(name, declared)
        if (rank := _rank(state, more)) is None:
            continue
        own = {name, *(f"{name}/{trial.name}" for trial in trials_of(name, item))}
        why = f"n = {seeds_of(declared)} of {seeds}" if rank == 3 else str(state)
        rows = sum(not there for result, there in waiting if result in own) if rank < 3 else 0
        settles = tuple(claim for claim, sides in undecided.items() if own & sides)
        found.append(MissingResult(name, item, why, rank, rows, settles, more))
    return found


def fewer_seeds(least: int, names: Collection[str]) -> list[str]:
    """Return the existing results that have fewer seeds than `least`."""
    params = load_params(PARAMS)
    items: Mapping[str, Item] = {**params.experiments, **params.sweeps}
    return [
        name
        for name, item in items.items()
        if seeds_of(item) < least and (not names or name in names) and _rank(state_of(name, item), True) == 3
    ]


def undecided_claims(names: Collection[str]) -> list[str]:
    """Return the claims without a verdict, only those on a result of `names` if there are any."""
    undecided = _undecided(load_params(PARAMS), results.load_plans())
    return [
        claim for claim, sides in undecided.items() if not names or {_item(side) for side in sides} & {*names}
    ]


def rows_with_fewer_epochs(names: Collection[str]) -> list[str]:
    """Return a line for each row of the reports' tables that the settings themselves give fewer epochs than
    it needs: no campaign completes it. Early stopping may end any training."""
    if not REPORTS.exists():
        return []
    plans, sweeps = results.load_plans(), load_params(PARAMS).sweeps
    found = []
    for report, content in load_reports(plans).items():
        for row in (row for row in content.rows if row.result):
            name, plan = _item(str(row.result)), plans[str(row.result)]
            whole = row.epochs or plan.planned
            assert plan.experiment is not None, "every plan of params.yaml has one"
            own = plan.experiment.epochs
            if (not names or name in names) and own < whole and not plan.stops_early:
                file = holding("sweeps" if name in sweeps else "experiments", PARAMS)
                found.append(
                    f"{report} {row.what}: {own} of {whole} epochs; set `epochs` of {name} in {file}"
                )
    return found


def _item(result: str) -> str:
    """Return the experiment or the sweep that a result belongs to."""
    return result.partition("/")[0]


def _rank(state: State, more: bool) -> int | None:
    match state.kind:
        case "never run":
            return 0
        case "stale" | "inconsistent":
            return 1
        case "shortened":
            return 2
        case "fresh" | "other hardware":
            return 3 if more else None
        case _:
            assert_never(state.kind)


def _rows(plans: Mapping[str, Plan]) -> Sequence[tuple[str, bool]]:
    """Return the result of each row of the reports' tables, and whether it is complete and up to date."""
    if not REPORTS.exists():
        return []
    rows = [row for report in load_reports(plans).values() for row in report.rows if row.result]
    found = ((str(row.result), results.find(str(row.result), plans, row.epochs)) for row in rows)
    return [(result, bool(one.trainings) and not one.shortened and not one.stale) for result, one in found]


def _undecided(params: Params, plans: Mapping[str, Plan]) -> dict[str, set[str]]:
    """Return the results of each claim without a verdict; a claim on a stale result counts as one."""
    judged = claims.judge_all(params, plans)
    return {row["name"]: {row["a"], row["b"]} for row in judged if row["verdict"] in OPEN or row["stale"]}
