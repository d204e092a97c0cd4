"""What has been trained: one row per finished training of an experiment or a trial, whichever file holds it.

`rows` reads them; `find` puts beside them what params.yaml plans: tables, claims, headlines and the book are
made from it; `frame` is the rows of all results as a pandas table. A row holds what a table cannot: the whole
configuration, and None where pandas has NaN.

A result is named `EXPERIMENT` or `SWEEP/TRIAL`, everywhere in the project.
"""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convlab import files
from convlab.errors import InputError
from convlab.pipeline.made_from import TrainingRecord
from convlab.results.folders import load, read, stamp
from convlab.results.plans import Plan, load_plans
from convlab.results.quantities import OF_TRAININGS, QUANTITIES, TrainingRow, value
from convlab.results.states import StateKind, differences, state_of_training
from convlab.schema import SPLITS, Experiment

if TYPE_CHECKING:
    from pandas import DataFrame

RECORD_KEYS = (
    *("seed", "epochs", "parameters", "report_flops", "kernel_norm", "precision", "device", "fingerprint"),
    *("configuration", "environment", "code"),
)
# The columns of `frame` that a training's timing has
TIMING_COLUMNS = (
    "images_per_second",
    "peak_memory_mib",
    "at_once",
    "started_at",
    "git_commit",
    "torch",
)


def rows(result: str) -> list[TrainingRow]:
    """Return the finished trainings of a result, one per seed, in the files' order; empty where none is.

    Each has seed, epochs, parameters, report_flops, kernel_norm, weight_norm and penalty (None in records
    older than these), precision, device, fingerprint; train, validation and test, each {loss, accuracy,
    images}, of the kept weights and without augmentation; running_accuracy and running_loss as a loop prints
    them (means over the epoch's steps, with dropout and augmentation, the loss with the L2 penalty);
    penalised_test_loss; gap, the training accuracy (running, if it is known) minus the validation accuracy;
    configuration, environment and code, as its record holds them; timing, {} if there is none of the same
    fingerprint; and what `curve_quantities.of_curve` reads off its curves.

    Raises:
        InputError: a file is damaged.
    """
    name, _, trial = result.partition("/")
    timed = timings(name)
    folder = load(name)
    return [
        {**_row(facts, scores, timed), **folder.read_off.get((facts["name"], facts["seed"]), {})}
        for facts, scores in folder.scored()
        if facts["name"] == (trial or name)
    ]


def status(result: str) -> str:
    """Return `finished`, `not run`, `inconsistent` or what stopped a trial: `infeasible`, `diverged`."""
    name, _, trial = result.partition("/")
    folder = load(name)
    if folder.problem:
        return "inconsistent"
    if rows(result):
        return "finished"
    found = [one["status"] for one in folder.trainings if trial and one["name"] == trial]
    return found[0] if found else "not run"


def values(trainings: Sequence[TrainingRow], quantity: str) -> list[float]:
    """Look up a number of several trainings, leaving out those that have none."""
    found = [value(row, quantity) for row in trainings]
    return [number for number in found if number is not None]


def spread(numbers: Sequence[float]) -> float | None:
    """Compute the standard deviation (of a sample); None of fewer than two numbers."""
    return statistics.stdev(numbers) if len(numbers) > 1 else None


def mean_and_spread(numbers: Sequence[float], text: Callable[[float], str]) -> str:
    """Show the mean ± the standard deviation, if there is one; `text` shows a number."""
    deviation = spread(numbers)
    shown = text(statistics.mean(numbers))
    return f"{shown} ± {text(deviation).removesuffix('%')}" if deviation else shown


def mean_text(quantity: str, numbers: Sequence[float]) -> str:
    """Show numbers of a quantity: their mean ± the standard deviation; "" where there is none."""
    if not numbers:
        return ""
    form = QUANTITIES[quantity].scale.form(statistics.mean(numbers))
    return mean_and_spread(numbers, lambda number: format(number, form))


def rounded(number: float | None) -> float | None:
    """Round to six significant digits: the same text on every machine, though sums differ in last bits."""
    return None if number is None else float(f"{number:.6g}")


def shortened(row: TrainingRow, planned: int) -> bool:
    """Tell whether a training had fewer epochs, and not because early stopping ended it."""
    own = row["configuration"]
    stopped_early = own.get("early_stopping") is not None and row["epochs"] < own["epochs"]
    return row["epochs"] < planned and not stopped_early


@dataclass(frozen=True)
class Found:
    """The trainings of a result.

    `planned`: the epochs of a complete training; `shortened`: a training has fewer; `status`: see `status`;
    `stale`: how they differ from the current settings and code (except for epochs: see `shortened`).
    """

    trainings: list[TrainingRow]
    planned: int | None = None
    shortened: bool = False
    status: str = "not run"
    stale: tuple[str, ...] = ()

    def values(self, quantity: str) -> list[float]:
        """Return a number of each training."""
        return values(self.trainings, quantity)

    @property
    def of_planned(self) -> str:
        """The suffix of the epochs: ` of 40` where a training has fewer, else nothing."""
        return f" of {self.planned}" if self.shortened else ""

    def timing_conditions(self) -> set[tuple[Any, ...]]:
        """Return what decides the seconds of the trainings, besides what they compute."""
        return {
            (row["environment"]["device_name"], row["precision"], row["timing"].get("at_once"))
            for row in self.trainings
        }

    def hardware(self) -> list[str]:
        """Name what the trainings ran on, with the precision."""
        return sorted({f"{row['environment']['device_name']} ({row['precision']})" for row in self.trainings})


def find(result: str, plans: Mapping[str, Plan], epochs: int | None = None) -> Found:
    """Find a result, which may be without trainings.

    `epochs`: those of the report, which then count as planned, unless early stopping may end a training.
    """
    if result not in plans:
        return Found([], status="not among the trials")
    plan = plans[result]
    planned = plan.planned if plan.stops_early else epochs or plan.planned
    trainings = rows(result)
    fewer = any(shortened(row, planned) for row in trainings)
    return Found(trainings, planned, fewer, status(result), _stale(result, plan))


def _stale(result: str, plan: Plan) -> tuple[str, ...]:
    """Return how the trainings of a result differ from the current settings and code."""
    reasons: dict[str, None] = {}
    for facts, scores, now in _with_settings(result, plan):
        if now is not None:
            records = [facts] if scores is facts else [facts, scores]
            reasons |= dict.fromkeys(differences(records, now))
    return tuple(reason for reason in reasons if not reason.startswith("epochs: "))


def _states(result: str, plan: Plan) -> Iterator[StateKind | None]:
    """Yield the state of each training of a result, in the order of `rows`."""
    folder = load(result.partition("/")[0])
    for facts, _, now in _with_settings(result, plan):
        yield state_of_training(folder, facts, now).kind if now is not None else None


def _with_settings(
    result: str, plan: Plan
) -> Iterator[tuple[TrainingRecord, TrainingRecord, Experiment | None]]:
    """Yield each training of a result: its record, that of its scores, and what it would be made from now."""
    name, _, trial = result.partition("/")
    for facts, scores in load(name).scored():
        if facts["name"] == (trial or name):
            own = {"seed": facts["seed"], "seeds": 1}
            yield facts, scores, plan.experiment.model_copy(update=own) if plan.experiment else None


def frame(plans: Mapping[str, Plan] | None = None) -> "DataFrame":
    """Return a tidy table of all results: one row per finished training, in the order of params.yaml.

    Its columns: result (`EXPERIMENT` or `SWEEP/TRIAL`), name, trial ("" for an experiment), seed; state
    (`fresh`, `stale`, … as `convlab list` has them, here of the one training); every quantity of a training
    (quantities.OF_TRAININGS: accuracies from 0 to 1, losses in nats, seconds); planned_epochs, shortened;
    hardware, precision, device, fingerprint (the same for two results that are one training) and
    TIMING_COLUMNS (null without a timing). `attrs` has the quantities' `titles` and `units`, by column.
    `plans`: those of `load_plans`, where they are known already.

    Raises:
        InputError: params.yaml is wrong, or a file of a result is damaged.
    """
    from pandas import DataFrame  # takes a second: only where it is needed

    table = []
    for result in (plans := load_plans() if plans is None else plans):
        name, _, trial = result.partition("/")
        found = find(result, plans)
        for row, state in zip(found.trainings, _states(result, plans[result]), strict=True):
            one = {"result": result, "name": name, "trial": trial, "seed": row["seed"], "state": state}
            one |= {quantity: value(row, quantity) for quantity in OF_TRAININGS}
            one |= {"planned_epochs": found.planned, "shortened": found.shortened}
            one |= {"hardware": row["environment"]["device_name"]}
            one |= {key: row[key] for key in ("precision", "device", "fingerprint")}
            table.append(one | {key: row["timing"].get(key) for key in TIMING_COLUMNS})
    columns = ("result", "name", "trial", "seed", "state", *OF_TRAININGS, "planned_epochs", "shortened")
    where = ("hardware", "precision", "device", "fingerprint", *TIMING_COLUMNS)
    made = DataFrame(table, columns=[*columns, *where])
    known = {key: QUANTITIES[key] for key in OF_TRAININGS}
    made.attrs["titles"] = {key: one.title for key, one in known.items()}
    made.attrs["units"] = {key: one.scale.unit for key, one in known.items()}
    return made


def _row(facts: TrainingRecord, scores: TrainingRecord, timed: list[TrainingRow]) -> TrainingRow:
    penalty, running = facts.get("penalty") or 0.0, facts.get("running_accuracy")
    return {
        **{key: facts.get(key) for key in ("weight_norm", "penalty")},
        **{key: facts[key] for key in RECORD_KEYS},
        **{
            split: {key: scores[split].get(key) for key in ("loss", "accuracy", "images")} for split in SPLITS
        },
        "penalised_test_loss": scores["test"]["loss"] + penalty,
        "running_accuracy": running,
        "running_loss": None if running is None else facts["running_loss"] + penalty,
        "gap": (scores["train"]["accuracy"] if running is None else running)
        - scores["validation"]["accuracy"],
        "timing": own_timing(facts, timed),
    }


def timings(name: str) -> list[TrainingRow]:
    """Return the timing of each training of an experiment or a sweep.

    Raises:
        InputError: the file is damaged.
    """
    return _timings(name, Path.cwd(), stamp(files.METRICS / name / "timing.json"))


@lru_cache(maxsize=256)
def _timings(name: str, root: Path, stamped: Any) -> list[TrainingRow]:
    """Read a file once for as long as it stays as it is: claims ask for the same results again and again."""
    content = read(name, "timing.json") or {}
    parts = content.values() if isinstance(content, dict) and "fingerprint" not in content else [content]
    if not all(isinstance(part, dict) for part in parts):
        path = files.METRICS / name / "timing.json"
        raise InputError(f"{path}: is not the timing of trainings; `git checkout` or `dvc repro` restores it")
    if "fingerprint" in content:  # an experiment's; a sweep's has the names of its trainings for keys
        return [content, *content.get("seeds", [])]
    return list(content.values())


def own_timing(facts: TrainingRow, timed: list[TrainingRow]) -> TrainingRow:
    """Pick a training's own timing; {} if there is none.

    DVC's run cache restores results without their timing, and that of another training may be left.
    """
    return next((one for one in timed if one.get("fingerprint") == facts["fingerprint"]), {})
