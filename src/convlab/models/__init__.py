"""The networks, by name: `build` one from its section of params.yaml."""

from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor, nn

from convlab.models.cnn import cnn
from convlab.models.layers import ACTIVATIONS, InfeasibleGeometry
from convlab.models.preact import preact
from convlab.models.resnet import resnet
from convlab.models.whitening import Whitening
from convlab.schema import CNN, PreAct, ResNet

__all__ = ["FAMILIES", "InfeasibleGeometry", "build", "kernels_of"]

# Section of the schema → the function that builds the network from it
FAMILIES: dict[type, Any] = {CNN: cnn, ResNet: resnet, PreAct: preact}


def build(section: CNN | ResNet | PreAct, input_shape: list[int], classes: int, seed: int) -> nn.Module:
    """Build a network with its initial weights; equal seeds give equal weights, whatever ran before.

    A whitening layer goes before the network, with its activation; its filters are computed from the
    training images later (`Whitening.compute`).

    Args:
        section: the `model` section of an experiment.
        input_shape: channels, height, width of the transformed images.
        classes: the number of logits.
        seed: of the initial weights.

    Raises:
        InfeasibleGeometry: the strides and poolings leave nothing of the image.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        family = FAMILIES[type(section)]
        if section.whitening is None:
            return family(section, input_shape, classes)
        channels, *size = input_shape
        whitening = Whitening(channels, section.whitening.kernel, section.whitening.eps)
        network = family(section, [whitening.out_channels, *size], classes)
    first = {"whitening": whitening, f"whitening_{section.activation}": ACTIVATIONS[section.activation]()}
    return nn.Sequential(OrderedDict([*first.items(), *network.named_children()]))


def kernels_of(model: nn.Module) -> list[Tensor]:
    """List the weights that convolutions and linear layers learn: what an L2 penalty is meant for."""
    layers = [layer for layer in model.modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]
    return [layer.weight for layer in layers if layer.weight.requires_grad]
