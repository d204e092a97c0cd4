"""What params.yaml plans for each result that it can have."""

from dataclasses import dataclass

from convlab import files
from convlab.config import load_params
from convlab.schema import Experiment, Params


@dataclass(frozen=True)
class Plan:
    """What params.yaml says of a result: the epochs that its experiment states (a sweep may shorten them),
    its settings as they are resolved now, and its `base`, the experiment that it is or varies."""

    planned: int
    stops_early: bool
    experiment: Experiment | None = None
    base: str = ""


def load_plans(params: Params | None = None) -> dict[str, Plan]:
    """Return the plan of every result that params.yaml can have, by the result's name.

    `params`: what params.yaml says, where it has been read already.

    Raises:
        InputError: params.yaml is wrong.
    """
    params = params or load_params(files.PARAMS)
    plans = {}
    for name, experiment in params.experiments.items():
        plans[name] = _plan(experiment, experiment.epochs, name)
    for name, sweep in params.sweeps.items():
        for trial in sweep.trials:
            base = trial.base or trial.name
            whole = params.experiments.get(base, trial.experiment)
            plan = _plan(trial.experiment, whole.epochs, base)
            plans.setdefault(f"{name}/{trial.name}", plan)  # further seeds of a trial have the same plan
    return plans


def _plan(experiment: Experiment, planned: int, base: str) -> Plan:
    return Plan(planned, experiment.early_stopping is not None, experiment, base)
