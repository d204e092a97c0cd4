"""An experiment's network, with its initial weights or with trained ones."""

from collections import OrderedDict
from pathlib import Path

import torch
from torch import nn

from convlab.data.dataset import Statistics
from convlab.files import read_tensors
from convlab.models.conventions import initialise, set_batch_norm
from convlab.models.layers import ACTIVATIONS
from convlab.models.registry import network_of
from convlab.models.whitening import Whitening
from convlab.schema import Experiment, Framework, Model
from convlab.seeds import derive_seed


def build(
    section: Model,
    input_shape: list[int],
    classes: int,
    seed: int,
    init: Framework = "torch",
    batch_norm: Framework = "torch",
) -> nn.Module:
    """Build a network with its initial weights; equal seeds give equal weights, whatever ran before.

    A whitening layer goes before the network, with its activation; its filters are computed from the
    training images later (`Whitening.compute`).

    Args:
        section: the `model` section of an experiment.
        input_shape: channels, height, width of the transformed images.
        classes: the number of logits.
        seed: of the initial weights.
        init: the framework whose initial weights are drawn.
        batch_norm: the framework whose momentum and ε batch normalisation has.

    Raises:
        InfeasibleGeometry: the strides and poolings leave nothing of the image.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        channels, *size = input_shape
        whitening = None
        if section.whitening is not None:
            whitening = Whitening(channels, section.whitening.kernel, section.whitening.eps)
            channels = whitening.out_channels
        network = network_of(section, [channels, *size], classes)
        initialise(network, init)
    set_batch_norm(network, batch_norm)
    if whitening is None:
        return network
    first = {"whitening": whitening, f"whitening_{section.activation}": ACTIVATIONS[section.activation]()}
    return nn.Sequential(OrderedDict([*first.items(), *network.named_children()]))


def build_model(experiment: Experiment, input_shape: list[int], classes: int) -> nn.Module:
    """Build an experiment's model with its initial weights.

    Raises:
        InfeasibleGeometry: the model leaves nothing of the image.
    """
    seed = derive_seed(experiment.seed, "init")
    return build(experiment.model, input_shape, classes, seed, experiment.init, experiment.batch_norm)


def load_model(experiment: Experiment, statistics: Statistics, weights: Path) -> nn.Module:
    """Build an experiment's model with trained weights from a safetensors file."""
    model = build_model(experiment, statistics.input_shape, len(statistics.classes))
    model.load_state_dict(read_tensors(weights))
    return model
