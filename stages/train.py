"""train NAME: prepared data → the weights, curves and facts of an experiment, for each of its seeds."""

from convlab import files, portable
from convlab.config import load_experiment
from convlab.errors import InputError, name_argument, run
from convlab.pipeline import made_from, summaries
from convlab.pipeline.kept import write_timing
from convlab.tracking import mirror


def main() -> None:
    """Run the missing seeds, write the outputs, mirror them into MLflow, and empty the ledger."""
    name = name_argument()
    experiment = load_experiment(files.config(name))
    portable.pin(name, experiment)
    from convlab.campaign.ahead import ahead_of
    from convlab.pipeline.trainings import (  # PyTorch, which must not be loaded before `pin`
        ITERATION,
        Trainings,
    )

    trainings = Trainings(name, experiment, files.PROCESSED / name, files.ledger(name))
    ended = trainings.run(ahead_of(name))
    for trial, done in ended:
        if done.reason:
            trainings.forget_failed()
            raise InputError(f"experiments.{name}: seed {trial.experiment.seed}: {done.reason}")
    (files.MODELS / name).mkdir(parents=True, exist_ok=True)
    records, curves = [], []
    for trial, done in ended:
        prepared = files.PROCESSED / name / trial.experiment.data_key()
        records.append(made_from.of_training(name, trial, done, prepared, scored=False))
        assert done.weights, "only what has a reason has none"
        files.copy(done.weights, files.weights(name, trial.experiment.seed))
        curves += [{**record, "seed": trial.experiment.seed} for record in done.curves]
    files.write_csv(files.PLOTS / name / "curves.csv", curves)
    # Without rows it still has a header: DVC warns about an empty file
    files.write_csv(files.PLOTS / name / "iterations.csv", ended[0][1].iterations, ITERATION)
    files.write_json(files.trainings(name), records)
    files.write_json(files.METRICS / name / "train.json", summaries.trained(records))
    write_timing(name, files.by_seed([done.timing for _, done in ended]))
    mirror(name)
    trainings.clear()  # last: DVC reruns all of the stage if it does not complete


if __name__ == "__main__":
    run(main)
