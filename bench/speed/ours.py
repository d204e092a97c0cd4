"""convlab's own training loop, the one that `dvc repro` runs."""

from collections.abc import Callable

import torch

from bench.speed.cases import MEAN, STD, Data
from convlab.data.catalogue import DATASETS
from convlab.data.dataset import Split, Statistics
from convlab.models.build import build_model
from convlab.schema import Experiment
from convlab.train.device import prepare_process
from convlab.train.fit import fit


def train(
    experiment: Experiment,
    data: Data,
    tick: Callable[[], None],
    precision: str,
    keep_memory: bool = True,
) -> None:
    """Train with `fit`; without `keep_memory`, glibc returns freed memory, as in any other process."""
    if keep_memory:
        prepare_process(experiment.threads, experiment.deterministic)
    # Without early stopping, which the other loops do not have, and which may end it before it is measured
    recipe = experiment.model_copy(update={"precision": precision, "early_stopping": None})
    split = Split(*map(torch.from_numpy, data))
    statistics = statistics_of(experiment)
    model = build_model(recipe, statistics.input_shape, len(statistics.classes))
    held_out = Split(split.images[: recipe.batch_size], split.labels[: recipe.batch_size])
    device = torch.device(recipe.device)
    fit(model, split, held_out, statistics.transform(), recipe, device, on_step=lambda images: tick())


def statistics_of(experiment: Experiment) -> Statistics:
    """Return the statistics that `preprocess` would measure on uniform random images."""
    dataset, scaling = DATASETS[experiment.dataset], experiment.preprocess.scaling
    channels = experiment.input_shape[0]
    by_channel = scaling == "zscore_channel"
    return Statistics(
        scale=1.0 if scaling == "none" else 1 / dataset.max_value,
        mean=[MEAN if by_channel else 0.0] * channels,
        std=[STD if by_channel else 1.0] * channels,
        greyscale=experiment.preprocess.greyscale,
        per_image=scaling == "zscore_image",
        input_shape=experiment.input_shape,
        classes=list(dataset.classes),
    )
