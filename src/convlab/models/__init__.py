"""The networks, by name: `build` one from its section of params.yaml."""

from collections import OrderedDict
from typing import Any

import torch
from torch import nn

from convlab.models.cnn import cnn
from convlab.models.conventions import initialise, set_batch_norm
from convlab.models.layers import ACTIVATIONS, InfeasibleGeometry
from convlab.models.preact import preact
from convlab.models.resnet import resnet
from convlab.models.weights import kernels_of, penalised
from convlab.models.whitening import Whitening
from convlab.schema import CNN, Framework, PreAct, ResNet

__all__ = ["FAMILIES", "InfeasibleGeometry", "build", "kernels_of", "penalised"]

# Section of the schema → the function that builds the network from it
FAMILIES: dict[type, Any] = {CNN: cnn, ResNet: resnet, PreAct: preact}


def build(
    section: CNN | ResNet | PreAct,
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
        init: whose initial weights.
        batch_norm: whose momentum and ε of batch normalisation.

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
        network = FAMILIES[type(section)](section, [channels, *size], classes)
        initialise(network, init)
    set_batch_norm(network, batch_norm)
    if whitening is None:
        return network
    first = {"whitening": whitening, f"whitening_{section.activation}": ACTIVATIONS[section.activation]()}
    return nn.Sequential(OrderedDict([*first.items(), *network.named_children()]))
