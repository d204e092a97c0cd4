"""The networks, by name: `build` one from its section of params.yaml."""

from typing import Any

import torch
from torch import Tensor, nn

from convlab.models.cnn import cnn
from convlab.models.layers import InfeasibleGeometry
from convlab.models.preact import preact
from convlab.models.resnet import resnet
from convlab.schema import CNN, PreAct, ResNet

__all__ = ["FAMILIES", "InfeasibleGeometry", "build", "kernels_of"]

# Section of the schema → the function that builds the network from it
FAMILIES: dict[type, Any] = {CNN: cnn, ResNet: resnet, PreAct: preact}


def build(section: CNN | ResNet | PreAct, input_shape: list[int], classes: int, seed: int) -> nn.Module:
    """Build a network with its initial weights; equal seeds give equal weights, whatever ran before.

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
        return FAMILIES[type(section)](section, input_shape, classes)


def kernels_of(model: nn.Module) -> list[Tensor]:
    """List the weights of convolutions and linear layers: what an L2 penalty is meant for."""
    return [layer.weight for layer in model.modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]
