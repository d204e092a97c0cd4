"""The network of the CIFAR-10 speed runs (Jordan, 2024): whitened patches, then pairs of convolutions."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from convlab.models.layers import ACTIVATIONS, InfeasibleGeometry
from convlab.models.whitening import Whitening
from convlab.schema import SpeedRun

LAST_POOL = 3


def speedrun(section: SpeedRun, input_shape: list[int], classes: int) -> nn.Sequential:
    """Build the network: float32 [N, C, H, W] → logits [N, classes].

    For each width a convolution, a 2×2 pooling, batch normalisation and an activation, then the same without
    pooling; finally a 3×3 pooling and a linear layer. As in Jordan's `airbench94_muon`: convolutions are
    initialised to the identity (Dirac) for as many channels as come in, batch normalisation trains only its
    biases, and its running statistics follow fast, as there are only 200 steps.

    Raises:
        InfeasibleGeometry: a feature map shrinks below the pooling.
    """
    channels, height, width = input_shape
    activation = ACTIVATIONS[section.activation]
    network = nn.Sequential()
    patches = Patches(channels, section.patches.kernel, section.patches.eps)
    network.add_module("patches", patches)
    network.add_module(f"patches_{section.activation}", activation())
    size = min(height, width) + 1 - section.patches.kernel
    channels = patches.out_channels
    for block, filters in enumerate(section.widths, start=1):
        network.add_module(f"block{block}_conv1", convolution(channels, filters))
        network.add_module(f"block{block}_pool", nn.MaxPool2d(2))
        network.add_module(f"block{block}_norm1", normalisation(filters))
        network.add_module(f"block{block}_{section.activation}1", activation())
        network.add_module(f"block{block}_conv2", convolution(filters, filters))
        network.add_module(f"block{block}_norm2", normalisation(filters))
        network.add_module(f"block{block}_{section.activation}2", activation())
        channels, size = filters, size // 2
    if size < LAST_POOL:
        raise InfeasibleGeometry(f"the last block leaves a {size}×{size} map, too small for its 3×3 pooling")
    side = size // LAST_POOL
    network.add_module("pool", nn.MaxPool2d(LAST_POOL))
    network.add_module("flatten", nn.Flatten())
    network.add_module("output", ScaledLinear(channels * side**2, classes))
    return network


class Patches(Whitening):
    """Whitening without padding, [N, C, H, W] → [N, 2·C·k², H + 1 − k, W + 1 − k], with trained biases."""

    def __init__(self, channels: int, kernel: int, eps: float):
        super().__init__(channels, kernel, eps)
        assert self.bias is not None
        self.bias.requires_grad_(True)

    def forward(self, input: Tensor) -> Tensor:
        """Convolve without padding."""
        return F.conv2d(input, self.weight, self.bias)


class ScaledLinear(nn.Linear):
    """A linear layer without biases whose outputs are divided by the number of its inputs.

    Its weights begin with a standard deviation of 1, so that one learning rate suits any width.
    """

    def __init__(self, features: int, classes: int):
        super().__init__(features, classes, bias=False)
        with torch.no_grad():
            self.weight /= self.weight.std()

    def forward(self, input: Tensor) -> Tensor:
        """Multiply [N, features] to [N, classes]."""
        return super().forward(input) / self.in_features


def convolution(channels: int, filters: int) -> nn.Conv2d:
    """Return a 3×3 convolution without biases whose first filters copy a channel each."""
    layer = nn.Conv2d(channels, filters, 3, padding=1, bias=False)
    with torch.no_grad():
        nn.init.dirac_(layer.weight[:channels])
    return layer


def normalisation(filters: int) -> nn.BatchNorm2d:
    """Return batch normalisation with fixed scales; 0.4 of the running statistics is new at each step."""
    layer = nn.BatchNorm2d(filters, eps=1e-12, momentum=0.4)
    layer.weight.requires_grad_(False)
    return layer
