"""sweep NAME: an experiment with some keys varied → record, learning curves and weights of each trial."""

from convlab import files, portable
from convlab.config import load_sweep
from convlab.errors import name_argument, run
from convlab.pipeline import made_from, summaries
from convlab.pipeline.kept import write_timing
from convlab.tracking import mirror


def main() -> None:
    """Run the missing trials, write the outputs, mirror them into MLflow, and empty the ledger."""
    name = name_argument()
    sweep = load_sweep(files.config(name))
    portable.pin(name, sweep)
    from convlab.campaign.ahead import ahead_of
    from convlab.pipeline.trainings import (  # PyTorch, which must not be loaded before `pin`
        ITERATION,
        Trainings,
        iterations_of,
    )

    trainings = Trainings(name, sweep, files.PROCESSED / name, files.ledger(name))
    records, curves, timing, ended = [], [], {}, trainings.run(ahead_of(name))
    (files.MODELS / name).mkdir(parents=True, exist_ok=True)
    for trial, done in ended:
        seed = trial.experiment.seed
        if done.weights:
            files.copy(done.weights, files.weights(name, seed, trial.name))
        prepared = files.PROCESSED / name / trial.experiment.data_key()
        records.append(made_from.of_training(name, trial, done, prepared, scored=True))
        curves += [{"trial": trial.name, **record, "seed": seed} for record in done.curves]
        timing[files.training(seed, trial.name)] = done.timing
    files.write_csv(files.PLOTS / name / "curves.csv", curves)
    columns = ("trial", *ITERATION)  # without rows it still has a header: DVC warns about an empty file
    files.write_csv(files.PLOTS / name / "iterations.csv", iterations_of(ended), columns)
    files.write_json(files.trainings(name), records)
    files.write_json(files.METRICS / name / "trials.json", summaries.tried(records))
    write_timing(name, timing)
    mirror(name)
    trainings.clear()  # last: DVC reruns all of the stage if it does not complete


if __name__ == "__main__":
    run(main)
