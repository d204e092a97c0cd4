"""ResNet for 32×32 images (He et al., 2016): R2's ResNet-18 with 11,173,962 parameters."""

from torch import Tensor, nn

from convlab.models.layers import ACTIVATIONS
from convlab.schema import ResNet


class BasicBlock(nn.Module):
    """Two 3×3 convolutions with batch normalisation, added to a shortcut.

    The shortcut is the input itself, or a 1×1 convolution of it where the shape changes.
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int, activation: type[nn.Module]):
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels_out)
        self.activation1 = activation()
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels_out)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels_out:
            projection = nn.Conv2d(channels_in, channels_out, 1, stride, bias=False)
            self.shortcut = nn.Sequential(projection, nn.BatchNorm2d(channels_out))
        self.activation2 = activation()

    def forward(self, images: Tensor) -> Tensor:
        """Compute [N, C, H, W] → [N, C', ⌈H / stride⌉, ⌈W / stride⌉]."""
        residual = self.norm2(self.conv2(self.activation1(self.norm1(self.conv1(images)))))
        return self.activation2(residual + self.shortcut(images))


def resnet(section: ResNet, input_shape: list[int], classes: int) -> nn.Sequential:
    """Build the network: float32 [N, C, H, W] → logits [N, classes].

    The stem is a 3×3 convolution of stride 1 (ImageNet's 7×7 with pooling would leave little of 32 pixels);
    each stage after the first halves the map in its first block.
    """
    activation = ACTIVATIONS[section.activation]
    channels = section.widths[0]
    network = nn.Sequential()
    network.add_module("stem_conv", nn.Conv2d(input_shape[0], channels, 3, padding=1, bias=False))
    network.add_module("stem_norm", nn.BatchNorm2d(channels))
    network.add_module(f"stem_{section.activation}", activation())
    for stage, (width, blocks) in enumerate(zip(section.widths, section.blocks, strict=True), start=1):
        for block in range(1, blocks + 1):
            stride = 2 if stage > 1 and block == 1 else 1
            network.add_module(f"stage{stage}_block{block}", BasicBlock(channels, width, stride, activation))
            channels = width
    network.add_module("pool", nn.AdaptiveAvgPool2d(1))
    network.add_module("flatten", nn.Flatten())
    network.add_module("output", nn.Linear(channels, classes))
    return network
