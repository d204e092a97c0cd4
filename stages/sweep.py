"""sweep NAME: an experiment with some of its keys varied → a row, learning curves and weights per trial."""

import shutil

from convlab import files
from convlab.config import load_sweep
from convlab.errors import name_argument, run
from convlab.tracking import mirror
from convlab.trainings import Trainings, row


def main() -> None:
    """Run the missing trials, write the outputs, mirror them into MLflow, and empty the ledger."""
    name = name_argument()
    sweep = load_sweep(files.config(name))
    trainings = Trainings(name, sweep, files.PROCESSED / name, files.ledger(name))
    rows, curves, timing = [], [], {}
    (files.MODELS / name).mkdir(parents=True, exist_ok=True)
    for trial, done in trainings.run():
        seed = trial.experiment.seed
        if done.weights:
            shutil.copyfile(done.weights, files.weights(name, seed, trial.name))
        rows.append(row(trial, done))
        curves += [{"trial": trial.name, **record, "seed": seed} for record in done.curves]
        timing[files.training(seed, trial.name)] = done.timing
    files.write_csv(files.PLOTS / name / "curves.csv", curves)
    files.write_json(files.METRICS / name / "trials.json", rows)
    files.write_json(files.METRICS / name / "timing.json", timing)
    mirror(name)
    trainings.clear()  # last: DVC asks for everything again if the stage does not end


if __name__ == "__main__":
    run(main)
