"""resolve: params.yaml → one resolved configuration per experiment and sweep.

All of them, selected or not: later stages depend on their own file alone, so an edit reruns what it reaches.
"""

import sys

from convlab import files
from convlab.config import dump_item, load_params
from convlab.data.catalogue import DATASETS
from convlab.errors import InputError, run
from convlab.models import InfeasibleGeometry
from convlab.train.run import build_model


def main() -> None:
    """Check everything that can be checked before any work, then write data/configs/."""
    params = load_params(files.PARAMS)
    for warning in params.warnings:
        print(f"resolve: warning: {warning}", file=sys.stderr)
    for name in params.run:
        experiment = params.experiments[name]
        try:
            build_model(experiment, experiment.input_shape, len(DATASETS[experiment.dataset].classes))
        except InfeasibleGeometry as error:
            raise InputError(
                f"{files.PARAMS}: experiments.{name}.model: {error}; use smaller strides or poolings"
            ) from None
    for name, item in (params.experiments | params.sweeps).items():
        files.write_text(files.config(name), dump_item(item))
    files.write_text(files.CONFIGS / "datasets.yaml", "".join(f"- {name}\n" for name in params.datasets()))
    print(f"resolve: {len(params.experiments)} experiments, {len(params.sweeps)} sweeps → {files.CONFIGS}/")


if __name__ == "__main__":
    run(main)
