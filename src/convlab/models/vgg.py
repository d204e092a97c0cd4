"""R0's VGG-style network: blocks of (Conv-BN-ReLU) × 2 and a pooling, then dense layers with dropout."""

from torch import nn

from convlab.models.layers import Conv2dSame, InfeasibleGeometry
from convlab.schema import VGG


def vgg(section: VGG, input_shape: list[int], classes: int) -> nn.Sequential:
    """Build the network: float32 [N, C, H, W] → logits [N, classes].

    The stride of a block sits on its first convolution, and padding is 'same' (readings of R0). As in R0,
    convolutions keep their biases beside the batch normalisation: its histograms show them.

    Raises:
        InfeasibleGeometry: a feature map shrinks below the pooling's 2×2.
    """
    channels, height, width = input_shape
    network = nn.Sequential()
    blocks = zip(section.filters, section.kernels, section.strides, strict=True)
    for block, (filters, kernel, stride) in enumerate(blocks, start=1):
        height, width = -(-height // stride), -(-width // stride)
        if min(height, width) < 2:
            raise InfeasibleGeometry(
                f"block {block} has a {height}×{width} map left, too small for its 2×2 pooling"
            )
        for number, step in ((1, stride), (2, 1)):
            network.add_module(f"block{block}_conv{number}", Conv2dSame(channels, filters, kernel, step))
            network.add_module(f"block{block}_norm{number}", nn.BatchNorm2d(filters))
            network.add_module(f"block{block}_relu{number}", nn.ReLU(inplace=True))
            channels = filters
        network.add_module(f"block{block}_pool", nn.MaxPool2d(2))
        height, width = height // 2, width // 2
    network.add_module("flatten", nn.Flatten())
    features = channels * height * width
    for number, units in enumerate(section.dense, start=1):
        network.add_module(f"dense{number}", nn.Linear(features, units))
        network.add_module(f"dense{number}_relu", nn.ReLU(inplace=True))
        network.add_module(f"dense{number}_dropout", nn.Dropout(section.dropout))
        features = units
    network.add_module("output", nn.Linear(features, classes))
    return network
