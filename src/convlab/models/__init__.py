"""The networks, by name: `build` one from its section of params.yaml."""

import torch
from torch import Tensor, nn

from convlab.models.layers import InfeasibleGeometry
from convlab.models.vgg import vgg
from convlab.schema import VGG

__all__ = ["FAMILIES", "InfeasibleGeometry", "build", "count_parameters", "kernels_of"]

FAMILIES = {VGG: vgg}  # section of the schema → the function that builds the network from it


def build(section: VGG, input_shape: list[int], classes: int, seed: int) -> nn.Module:
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


def count_parameters(model: nn.Module) -> int:
    """Count the trainable parameters."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def kernels_of(model: nn.Module) -> list[Tensor]:
    """List the weights of convolutions and linear layers: what an L2 penalty is meant for."""
    return [layer.weight for layer in model.modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]
