"""The trainings of a result that a campaign does not train again: more seeds, or trials, cost those alone.

A training that is kept has the record that it had: when, where and with which versions it ran.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from convlab import files, results
from convlab.config import trials_of
from convlab.config.seed_counts import Item
from convlab.data.catalogue import DATASETS
from convlab.errors import InputError
from convlab.models.build import build_model
from convlab.models.weights import hash_weights
from convlab.networks import champions
from convlab.pipeline.ledger import Finished, Ledger
from convlab.pipeline.made_from import TrainingRecord, results_of, surroundings
from convlab.pipeline.trainings import ledger_key
from convlab.results import folders, states
from convlab.schema import Sweep, Trial

NEEDED = "penalty"  # a column that curves of early versions lack: rows of a table have the same columns
LABELS = ("trial", "seed")  # columns of curves.csv that name a training


class Reusable(NamedTuple):
    """A training that is there already, and its key in the ledger."""

    key: str
    finished: Finished


def fill_ledger(name: str, item: Item) -> list[Reusable]:
    """Put into the ledger of an experiment or a sweep what is `reusable`, and return what of it is there.

    Raises:
        InputError: its result is damaged.
    """
    ledger, found = Ledger(files.ledger(name)), reusable(name, item).values()
    for one in found:
        ledger.keep(one.key, one.finished)
    return [one for one in found if ledger.find(one.key)]


def forget(name: str, kept: Iterable[Reusable]) -> None:
    """Remove from the ledger what the stage has left there, for DVC's run cache had its outputs: another
    run, forced, is to train."""
    Ledger(files.ledger(name)).drop(one.key for one in kept)


def reusable(name: str, item: Item) -> dict[int, Reusable]:
    """Return those trainings of a result that the settings, the data and the code would give again, by their
    place among the item's.

    Each is whole: with its curves, its seconds, and for an experiment, whose evaluation reads them, its
    weights. (A sweep is scored as it is trained; git has no weights of it.) Where steps are recorded, the
    first seed is none of them: nothing proves that iterations.csv, which git does not have, is of it.

    Raises:
        InputError: its result is damaged.
    """
    folder = folders.load(name)
    records = {(one["name"], one["seed"]): one for one in folder.trainings if one["status"] == "finished"}
    if not records:
        return {}
    sweep, curves, timings = isinstance(item, Sweep), folders.curves(name), _timings(name)
    found: dict[int, Reusable] = {}
    firsts: set[str] = set()
    for place, trial in enumerate(trials_of(name, item)):
        first = trial.name not in firsts
        firsts.add(trial.name)
        of = trial.name, trial.experiment.seed
        record, rows = records.get(of), curves.get(of, [])
        if record is None or not _same(folder, record, trial) or (first and trial.experiment.iterations):
            continue
        timing, weights = _timing(record, timings, sweep), _weights(name, trial, record, sweep)
        test = record["data"].get("test")  # of a trial: an experiment's record has no scores
        whole = record["environment"] == surroundings(timing) and bool(rows) and NEEDED in rows[0]
        if whole and sweep == bool(test) and (weights or sweep):
            key = ledger_key(trial, record["fingerprint"], test)
            kept = Finished("finished", results_of(record), None, _rows(rows), [], timing, weights)
            found[place] = Reusable(key, kept)
    return found


def _same(folder: folders.Folder, record: TrainingRecord, trial: Trial) -> bool:
    """Return whether a training is what would be trained now, on whatever machine unless it is portable."""
    state = states.state_of_training(folder, record, trial.experiment).kind
    return state == "fresh" or (state == "other hardware" and not trial.experiment.portable)


def _timings(name: str) -> dict[str, Any]:
    """Return the content of timing.json; nothing where it is damaged: training again writes it anew."""
    with suppress(InputError):
        return dict(folders.read(name, "timing.json") or {})
    return {}


def _timing(record: TrainingRecord, timings: Mapping[str, Any], sweep: bool) -> dict[str, Any]:
    """Return a training's own timing; of a sweep by its name, for trials may have the same settings."""
    if sweep:
        known = [timings.get(files.training(record["seed"], record["name"]), {})]
    else:
        known = [{key: value for key, value in timings.items() if key != "seeds"}, *timings.get("seeds", [])]
    return results.own_timing(record, known)


def _rows(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows of curves.csv as the training recorded them."""
    return [
        {key: int(value) if key == "epoch" else value for key, value in row.items() if key not in LABELS}
        for row in rows
    ]


def _weights(name: str, trial: Trial, record: TrainingRecord, sweep: bool) -> Path | None:
    """Return the file of a training's weights, from data/models/ or from git; None where neither has them."""
    experiment, known = trial.experiment, record.get("weights")
    own = files.weights(name, experiment.seed, trial.name if sweep else None)
    if own.is_file():
        model = build_model(experiment, experiment.input_shape, len(DATASETS[experiment.dataset].classes))
        with suppress(RuntimeError, InputError):  # of another network, or damaged
            model.load_state_dict(files.read_tensors(own))
            if hash_weights(model) == known:
                return own
    champion = None if sweep else champions.find(name, known)
    return champion[0] if champion else None
