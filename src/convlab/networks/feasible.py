"""Whether an experiment's network can be built at all, checked without allocating its memory."""

from contextlib import suppress
from math import prod

import torch

from convlab import files
from convlab.data.catalogue import DATASETS
from convlab.errors import InputError
from convlab.models.build import build_model
from convlab.models.layers import InfeasibleGeometry
from convlab.models.summary import layers_of
from convlab.schema import Experiment, Params

MOST_LAYERS = 1000  # convolutions and linear layers; ResNet-18 has 21
NETWORK = {"dataset", "preprocess", "model", "init", "batch_norm"}  # what decides what is built, but the seed
MOST_PARAMETERS = 1 << 30  # 4 GiB in float32, as much again for gradients and twice that for Adam


def check_selected(params: Params) -> None:
    """Refuse what `run` and `run_sweeps` select if its networks cannot be built.

    Raises:
        InputError: says which, and why. But a trial whose strides leave no image is kept, as `infeasible`.
    """
    checked = set[str]()  # experiments and trials that differ in their recipes alone have one network

    def check(where: str, experiment: Experiment) -> None:
        network = experiment.model_dump_json(include=NETWORK)
        if network not in checked:
            check_network(where, experiment)
            checked.add(network)  # not one that was refused: each of them is reported

    for name in params.run:
        try:
            check(f"{files.PARAMS}: experiments.{name}", params.experiments[name])
            check_last_batch(f"{files.PARAMS}: experiments.{name}", params.experiments[name])
        except InfeasibleGeometry as error:
            raise InputError(
                f"{files.PARAMS}: experiments.{name}.model: {error}; use smaller strides or poolings"
            ) from None
    for name in params.run_sweeps:
        for trial in params.sweeps[name].trials:
            with suppress(InfeasibleGeometry):
                check(f"{files.PARAMS}: sweeps.{name}: {trial.name}", trial.experiment)
                check_last_batch(f"{files.PARAMS}: sweeps.{name}: {trial.name}", trial.experiment)


def check_network(where: str, experiment: Experiment) -> None:
    """Refuse a network that no machine could train; `where`: the place of its experiment in params.yaml.

    Raises:
        InputError: it has too many layers or parameters.
        InfeasibleGeometry: the strides and poolings leave nothing of the image.
    """
    if experiment.model.layers > MOST_LAYERS:
        raise InputError(f"{where}.model: more than {MOST_LAYERS:,} layers; use fewer")
    classes = len(DATASETS[experiment.dataset].classes)
    try:
        with torch.device("meta"):  # shapes alone, no memory
            model = build_model(experiment, experiment.input_shape, classes)
        parameters = sum(weight.numel() for weight in model.parameters())
    except InfeasibleGeometry:
        raise
    except (RuntimeError, TypeError, ValueError, OverflowError):  # PyTorch's, for sizes beyond its integers
        parameters = MOST_PARAMETERS + 1
    if parameters > MOST_PARAMETERS:
        raise InputError(
            f"{where}.model: more than {MOST_PARAMETERS:,} parameters; use fewer filters or smaller kernels"
        )


def check_last_batch(where: str, experiment: Experiment) -> None:
    """Refuse a last batch of one image where a 1×1 map is normalised: one number has no deviation.

    Raises:
        InputError: the batch size leaves such a batch.
    """
    images = DATASETS[experiment.dataset].train_images - experiment.split.validation
    if images % experiment.batch_size != 1 % experiment.batch_size:
        return
    with torch.device("meta"):
        model = build_model(experiment, experiment.input_shape, len(DATASETS[experiment.dataset].classes))
    single = [layer for layer in layers_of(model, experiment.input_shape) if layer.normalised]
    if any(prod(layer.output_shape[1:]) == 1 for layer in single):
        raise InputError(
            f"{where}.batch_size: found {experiment.batch_size}, which leaves a last batch of one of the "
            f"{images:,} images, and a batch normalisation of 1×1 maps needs two; use another size"
        )
