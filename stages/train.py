"""train NAME: prepared data → the weights, learning curves and facts of one experiment."""

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
    try:
        trained = train(name, experiment, files.PROCESSED / name / experiment.data_key())
    except (InfeasibleGeometry, Diverged) as error:
        raise InputError(f"experiments.{name}: {error}") from None
    files.write_tensors(files.weights(name), trained.model.state_dict())
    files.write_csv(files.PLOTS / name / "curves.csv", trained.curves)
    files.write_json(files.METRICS / name / "train.json", trained.results)
    # Not declared in dvc.yaml: timings differ from run to run, and nothing may depend on them.
    files.write_json(files.METRICS / name / "timing.json", trained.timing)
    mirror(name)


if __name__ == "__main__":
    run(main)
