"""What is valid in an experiment, but probably a mistake: a warning, before it costs hours."""

import math
from collections.abc import Mapping

from convlab.data.catalogue import DATASETS
from convlab.schema import Experiment, Sweep
from convlab.schema.training import EMA, Cosine, Lookahead, OneCycle

MOST_WARMUP = 0.9  # of a training, without a warning


def lint(experiments: Mapping[str, Experiment], sweeps: Mapping[str, Sweep]) -> list[str]:
    """Return a line for each key that is probably a mistake, and for a sweep those that no experiment has."""
    warnings = [
        (f"experiments.{name}.{key}", harm)
        for name, experiment in experiments.items()
        for key, harm in _warnings(experiment).items()
    ]
    known = {harm for _, harm in warnings}
    warnings += dict.fromkeys(
        (f"sweeps.{name}", harm)
        for name, sweep in sweeps.items()
        for trial in sweep.trials
        for harm in _warnings(trial.experiment).values()
        if harm not in known
    )
    return [f"{place}: {harm}" for place, harm in warnings]


def _warnings(experiment: Experiment) -> dict[str, str]:
    """Return what of an experiment is probably a mistake, by key."""
    return {**_mirrored(experiment), **_stuck(experiment), **_rising(experiment)}


def _stuck(experiment: Experiment) -> dict[str, str]:
    """Return a warning where the average of the weights, which is kept, stays near the initial ones."""
    images = DATASETS[experiment.dataset].train_images - experiment.split.validation
    steps = experiment.epochs * math.ceil(images / experiment.batch_size)
    training = f"the training has {steps:,} ({experiment.epochs} × {steps // experiment.epochs:,})"
    match experiment.average:
        case EMA(decay=decay) if steps * (1 - decay) < 1:
            span, share = f"{1 / (1 - decay):,.0f} steps", f"{decay**steps:.0%}"
            harm = (
                f"ema with decay {decay:g} spans {span}, but {training}: the kept weights are {share} initial"
            )
        case Lookahead(every=every) if steps < every:
            harm = f"lookahead goes back every {every:,} steps, but {training}: the initial weights are kept"
        case _:
            return {}
    return {"average": harm}


def _rising(experiment: Experiment) -> dict[str, str]:
    """Return a warning where the learning rate has hardly begun to fall when the training ends."""
    match experiment.schedule:
        case Cosine(warmup=warmup):
            share = warmup / experiment.epochs
        case OneCycle(warmup=share):
            pass
        case _:
            return {}
    if share <= MOST_WARMUP:
        return {}
    start = f"{experiment.schedule.name} warms up for {share:.0%} of the {experiment.epochs} epochs"
    return {"schedule": f"{start}: the rate has too little time to fall"}


def _mirrored(experiment: Experiment) -> dict[str, str]:
    """Return a warning where an experiment mirrors images whose class a mirror image loses, by key."""
    if DATASETS[experiment.dataset].flip_safe:
        return {}
    start = (
        f"flip mirrors {experiment.dataset}, where a mirrored image is none of the classes (a 2 becomes no "
        "digit)"
    )
    found = {}
    if any(step.name in ("flip", "alternating_flip") for step in experiment.augment):
        found["augment"] = f"{start}: the network learns what the test images never show"
    if experiment.test_time_augmentation != "none":
        found["test_time_augmentation"] = f"{start}: the network is tested on images of no class"
    return found
