"""Blocks of convolutions and a pooling, then dense layers: the networks of R0, R1, R2 (SimpleCNN) and R3."""

from torch import nn

from convlab.models.layers import ACTIVATIONS, Conv2dSame, InfeasibleGeometry
from convlab.schema import CNN


def cnn(section: CNN, input_shape: list[int], classes: int) -> nn.Sequential:
    """Build the network: float32 [N, C, H, W] → logits [N, classes].

    A block is convolutions of one width, each with its activation, and batch normalisation after each
    convolution (`convolution`: R0, R2) or once, after the last activation (`block`: R3); then a pooling and
    dropout. Padding is 'same'. Convolutions keep their biases beside the normalisation: the histograms of
    the reports show them.

    Raises:
        InfeasibleGeometry: a feature map shrinks below the pooling.
    """
    channels, height, width = input_shape
    activation = ACTIVATIONS[section.activation]
    network = nn.Sequential()
    for block, (filters, pool) in enumerate(zip(section.filters, section.pools, strict=True), start=1):
        steps = zip(section.kernels_of(block - 1), section.strides_of(block - 1), strict=True)
        for number, (kernel, stride) in enumerate(steps, start=1):
            network.add_module(f"block{block}_conv{number}", Conv2dSame(channels, filters, kernel, stride))
            if section.norm == "convolution":
                network.add_module(f"block{block}_norm{number}", nn.BatchNorm2d(filters))
            network.add_module(f"block{block}_{section.activation}{number}", activation())
            channels, height, width = filters, -(-height // stride), -(-width // stride)
        if section.norm == "block":
            network.add_module(f"block{block}_norm", nn.BatchNorm2d(filters))
        if min(height, width) < pool:
            raise InfeasibleGeometry(
                f"block {block} has a {height}×{width} map left, too small for its {pool}×{pool} pooling"
            )
        if pool > 1:
            network.add_module(f"block{block}_pool", nn.MaxPool2d(pool))
            height, width = height // pool, width // pool
        if section.block_dropout[block - 1]:
            network.add_module(f"block{block}_dropout", nn.Dropout(section.block_dropout[block - 1]))
    network.add_module("flatten", nn.Flatten())
    features = channels * height * width
    for number, units in enumerate(section.dense, start=1):
        network.add_module(f"dense{number}", nn.Linear(features, units))
        network.add_module(f"dense{number}_{section.activation}", activation())
        if section.dropout:
            network.add_module(f"dense{number}_dropout", nn.Dropout(section.dropout))
        features = units
    network.add_module("output", nn.Linear(features, classes))
    return network
