"""Run a sweep's trials, one after the other in one process, and lose none of them to a cut-off.

The ledger holds each finished trial (its row, its curves, its timing, its weights) in a scratch folder named
by the trial's fingerprint. Killed half-way, the sweep goes on with the trials that are missing.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convlab import files
from convlab.evaluate import evaluate
from convlab.models import InfeasibleGeometry
from convlab.schema import Sweep, Trial
from convlab.train.fit import Diverged
from convlab.train.run import Trained, fingerprint_of, train


@dataclass(frozen=True)
class Finished:
    """A finished trial. `row` is its line in trials.json; an infeasible one has no curves and no weights."""

    row: dict[str, Any]
    curves: list[dict[str, float]]
    timing: dict[str, Any]
    weights: Path | None


class Ledger:
    """The finished trials of one sweep, on disk: one folder each, complete or absent."""

    def __init__(self, folder: Path):
        self.folder = folder

    def find(self, trial: Trial, fingerprint: str) -> Finished | None:
        """Give a trial that was finished under the same fingerprint, or None."""
        folder = self._folder(trial, fingerprint)
        if not (folder / "trial.json").is_file():  # written last
            return None
        content = files.read_json(folder / "trial.json")
        weights = folder / "model.safetensors"
        return Finished(**content, weights=weights if weights.is_file() else None)

    def add(self, trial: Trial, fingerprint: str, row: dict[str, Any], trained: Trained | None) -> Finished:
        """Put a finished trial down."""
        folder = self._folder(trial, fingerprint)
        weights = folder / "model.safetensors" if trained else None
        curves = trained.curves if trained else []
        timing = trained.timing if trained else {}
        if trained and weights:
            files.write_tensors(weights, trained.model.state_dict())
        files.write_json(folder / "trial.json", {"row": row, "curves": curves, "timing": timing})
        return Finished(row, curves, timing, weights)

    def _folder(self, trial: Trial, fingerprint: str) -> Path:
        return self.folder / f"{files.training(trial.experiment.seed, trial.name)}-{fingerprint}"

    def clear(self) -> None:
        """Remove the ledger, once its content is where the stage's outputs are."""
        shutil.rmtree(self.folder, ignore_errors=True)


def run_trials(name: str, sweep: Sweep, prepared: Path, ledger: Ledger) -> list[Finished]:
    """Run the trials that the ledger does not hold yet; `prepared` holds a folder per data key."""
    finished = []
    for number, trial in enumerate(sweep.trials, start=1):
        folder = prepared / trial.experiment.data_key()
        fingerprint = fingerprint_of(trial.experiment, folder)
        label = f"{name} {number}/{len(sweep.trials)} {files.training(trial.experiment.seed, trial.name)}"
        known = ledger.find(trial, fingerprint)
        if known:
            print(f"{label}: finished before the cut-off, kept", flush=True)
        finished.append(known or _run(label, trial, fingerprint, folder, ledger))
    return finished


def _run(label: str, trial: Trial, fingerprint: str, folder: Path, ledger: Ledger) -> Finished:
    row: dict[str, Any] = {
        "name": trial.name,
        "overrides": trial.overrides,
        "seed": trial.experiment.seed,
        "fingerprint": fingerprint,
    }
    try:
        trained = train(label, trial.experiment, folder)
    except (InfeasibleGeometry, Diverged) as error:
        status = "infeasible" if isinstance(error, InfeasibleGeometry) else "diverged"
        print(f"{label}: {status}: {error}", flush=True)
        return ledger.add(trial, fingerprint, {**row, "status": status, "reason": str(error)}, None)
    row |= {
        "status": "finished",
        **trained.results,
        **evaluate(trained.model, trial.experiment, folder).scores,
    }
    return ledger.add(trial, fingerprint, row, trained)
