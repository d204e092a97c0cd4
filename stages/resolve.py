"""resolve: params.yaml → one resolved configuration per experiment and sweep.

All of them, selected or not: later stages depend on their own file alone, so an edit reruns what it reaches.
"""

import sys
from contextlib import suppress

from convlab import files
from convlab.config import dump_item, load_params
from convlab.errors import InputError, run
from convlab.models import InfeasibleGeometry
from convlab.networks import check_network


def main() -> None:
    """Check everything that can be checked before any work, then write data/configs/."""
    params = load_params(files.PARAMS)
    for warning in params.warnings:
        print(f"resolve: warning: {warning}", file=sys.stderr)
    for name in params.run:
        try:
            check_network(f"{files.PARAMS}: experiments.{name}", params.experiments[name])
        except InfeasibleGeometry as error:
            raise InputError(
                f"{files.PARAMS}: experiments.{name}.model: {error}; use smaller strides or poolings"
            ) from None
    for name in params.run_sweeps:
        for trial in params.sweeps[name].trials:
            with suppress(InfeasibleGeometry):  # a row of its results
                check_network(f"{files.PARAMS}: sweeps.{name}: {trial.name}", trial.experiment)
    items = params.experiments | params.sweeps
    texts = {files.config(name): dump_item(item) for name, item in items.items()}
    texts[files.CONFIGS / "datasets.yaml"] = "".join(f"- {name}\n" for name in params.datasets())
    for path, text in texts.items():
        files.write_text(path, text)
    print(f"resolve: {len(params.experiments)} experiments, {len(params.sweeps)} sweeps → {files.CONFIGS}/")


if __name__ == "__main__":
    run(main)
