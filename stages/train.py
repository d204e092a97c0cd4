"""train NAME: prepared data → the weights, curves and facts of an experiment, for each of its seeds."""

import sys

from convlab import files
from convlab.config import load_experiment
from convlab.errors import InputError, run
from convlab.models import InfeasibleGeometry
from convlab.tracking import mirror
from convlab.train.fit import Diverged
from convlab.train.run import train


def main() -> None:
    """Train, write the outputs, and mirror them into MLflow."""
    name = sys.argv[1]
    experiment = load_experiment(files.config(name))
    trained, curves = [], []
    for one in experiment.each_seed():
        label = f"{name} seed {one.seed}" if experiment.seeds > 1 else name
        try:
            done = train(label, one, files.PROCESSED / name / one.data_key())
        except (InfeasibleGeometry, Diverged) as error:
            raise InputError(f"experiments.{name}: {error}") from None
        files.write_tensors(files.weights(name, one.seed), done.model.state_dict())
        curves += [{**record, "seed": one.seed} for record in done.curves]
        trained.append(done)
    files.write_csv(files.PLOTS / name / "curves.csv", curves)
    files.write_csv(files.PLOTS / name / "iterations.csv", trained[0].iterations)
    files.write_json(files.METRICS / name / "train.json", files.by_seed([done.results for done in trained]))
    # Not declared in dvc.yaml: timings differ from run to run, and nothing may depend on them.
    files.write_json(files.METRICS / name / "timing.json", files.by_seed([done.timing for done in trained]))
    mirror(name)


if __name__ == "__main__":
    run(main)
