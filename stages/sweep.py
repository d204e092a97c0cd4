"""sweep NAME: an experiment with some of its keys varied → a row, learning curves and weights per trial."""

import shutil
import sys

from convlab import files
from convlab.config import load_sweep
from convlab.errors import run
from convlab.sweep import Ledger, run_trials
from convlab.tracking import mirror


def main() -> None:
    """Run the missing trials, write the outputs, mirror them into MLflow, and drop the ledger."""
    name = sys.argv[1]
    ledger = Ledger(files.scratch() / "sweeps" / name)
    trials = run_trials(name, load_sweep(files.config(name)), files.PROCESSED / name, ledger)
    (files.MODELS / name).mkdir(parents=True, exist_ok=True)
    for trial in trials:
        if trial.weights:
            shutil.copyfile(trial.weights, files.weights(name, trial.row["seed"], trial.row["name"]))
    curves = [
        {"trial": trial.row["name"], **record, "seed": trial.row["seed"]}
        for trial in trials
        for record in trial.curves
    ]
    files.write_csv(files.PLOTS / name / "curves.csv", curves)
    files.write_json(files.METRICS / name / "trials.json", [trial.row for trial in trials])
    timing = {files.training(trial.row["seed"], trial.row["name"]): trial.timing for trial in trials}
    files.write_json(files.METRICS / name / "timing.json", timing)
    ledger.clear()
    mirror(name)


if __name__ == "__main__":
    run(main)
