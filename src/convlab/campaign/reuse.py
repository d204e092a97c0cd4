"""The trainings of a result that a campaign does not train again: more seeds, or trials, cost those alone.

A training that is kept has the record that it had: when, where and with which versions it ran.
"""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from convlab import files, results
from convlab.config import trials_of
from convlab.config.seed_counts import Item
from convlab.data.catalogue import DATASETS
from convlab.models.build import build_model
from convlab.models.weights import hash_weights
from convlab.networks import champions
from convlab.pipeline.ledger import Finished, Ledger
from convlab.pipeline.trainings import ledger_key
from convlab.results import folders, states
from convlab.schema import Sweep, Trial

# What a record says beside the results that the ledger holds of a training: see made_from.of_training
FACTS = {"of", "name", "overrides", "status", "configuration", "data", "code", "environment", "seal"}
SAME = ("fresh", "other hardware")  # states of what the settings, the data and the code would give again
LABELS = ("trial", "seed")  # columns of the tables that name a training
COUNTS = ("epoch", "iteration")  # columns of whole numbers
Rows = list[dict[str, Any]]


class Reusable(NamedTuple):
    """A training that is there already, and its key in the ledger."""

    key: str
    finished: Finished


def fill_ledger(name: str, item: Item) -> int:
    """Put into the ledger of an experiment or a sweep what is `reusable`, and return how many trainings.

    Raises:
        InputError: a file of its result is damaged.
    """
    found, ledger = reusable(name, item), Ledger(files.ledger(name))
    for one in found.values():
        ledger.add(one.key, one.finished, None)
    return len(found)


def reusable(name: str, item: Item) -> dict[int, Reusable]:
    """Return those trainings of a result that the settings, the data and the code would give again, by their
    place among the item's.

    Each is whole: with its curves, its seconds, its steps where they are recorded, and for an experiment,
    whose evaluation reads them, its weights. (A sweep is scored as it is trained; git has no weights of it.)

    Raises:
        InputError: a file of its result is damaged.
    """
    folder = folders.load(name)
    records = {(one["name"], one["seed"]): one for one in folder.trainings if one["status"] == "finished"}
    if not records:
        return {}
    sweep, curves, timings = isinstance(item, Sweep), folders.curves(name), results.timings(name)
    steps = _steps(name, list(records))
    found = {}
    for place, trial in enumerate(trials_of(name, item)):
        of = trial.name, trial.experiment.seed
        record = records.get(of)
        if record is None or states.state_of_training(folder, record, trial.experiment).kind not in SAME:
            continue
        timing, weights = results.own_timing(record, timings), _weights(name, trial, record.get("weights"))
        has_steps = of in steps or not trial.experiment.iterations
        if timing and (weights or sweep) and of in curves and has_steps:
            own = {key: value for key, value in record.items() if key not in FACTS}
            timing = {key: value for key, value in timing.items() if key != "seeds"}
            rows = _rows(curves[of]), steps.get(of, [])
            key = ledger_key(trial, record["fingerprint"], record["data"]["test"] if sweep else None)
            found[place] = Reusable(key, Finished("finished", own, None, *rows, timing, weights))
    return found


def _steps(name: str, trainings: Sequence[tuple[str, int]]) -> dict[tuple[str, int], Rows]:
    """Return the recorded steps of trainings, by name and seed: a trial's first seed has some, others none.

    The first is left out where its steps are not in iterations.csv, a file that git does not have.
    """
    path = files.PLOTS / name / "iterations.csv"
    kept: dict[str, Rows] = {}
    for row in files.read_curves(path) if path.is_file() else []:
        kept.setdefault(row.get("trial", name), []).append(row)
    found: dict[tuple[str, int], Rows] = {}
    firsts: dict[str, int] = {}
    for trial, seed in trainings:
        if firsts.setdefault(trial, seed) != seed:
            found[trial, seed] = []
        elif trial in kept:
            found[trial, seed] = _rows(kept[trial])
    return found


def _rows(rows: Rows) -> Rows:
    """Return rows of a table as the training recorded them: without its name, with whole numbers."""
    return [
        {key: int(value) if key in COUNTS else value for key, value in row.items() if key not in LABELS}
        for row in rows
    ]


def _weights(name: str, trial: Trial, known: str | None) -> Path | None:
    """Return the file of the weights that have this hash, from data/models/ or from git; None without any."""
    experiment = trial.experiment
    own = files.weights(name, experiment.seed, None if trial.name == name else trial.name)
    if own.is_file():
        model = build_model(experiment, experiment.input_shape, len(DATASETS[experiment.dataset].classes))
        with suppress(RuntimeError):  # of another network
            model.load_state_dict(files.read_tensors(own))
        if hash_weights(model) == known:
            return own
    champion = champions.find(trial.name, known)
    return champion[0] if champion else None
