"""R4's pre-activation residual network (after He et al., "Identity Mappings", 2016)."""

from torch import Tensor, nn

from convlab.models.layers import ACTIVATIONS
from convlab.schema import PreAct


class PreActBlock(nn.Module):
    """Normalise, activate, convolve 3×3, and the same again; added to a shortcut without either.

    The shortcut is the input itself, or a 1×1 convolution of it where the stride is 2 (R4's Block1).
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int, activation: type[nn.Module]):
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels_in)
        self.activation1 = activation()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, padding=1)
        self.norm2 = nn.BatchNorm2d(channels_out)
        self.activation2 = activation()
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels_out:
            self.shortcut = nn.Conv2d(channels_in, channels_out, 1, stride)

    def forward(self, images: Tensor) -> Tensor:
        """Compute [N, C, H, W] → [N, C', ⌈H / stride⌉, ⌈W / stride⌉]."""
        inside = self.conv1(self.activation1(self.norm1(images)))
        return self.shortcut(images) + self.conv2(self.activation2(self.norm2(inside)))


def preact(section: PreAct, input_shape: list[int], classes: int) -> nn.Sequential:
    """Build the network: float32 [N, C, H, W] → logits [N, classes].

    For each width Block1 (stride 2) and Block2 (stride 1); then the mean over each map, and a linear layer.
    """
    activation = ACTIVATIONS[section.activation]
    network = nn.Sequential()
    network.add_module("stem_conv", nn.Conv2d(input_shape[0], section.stem, 3, padding=1))
    channels = section.stem
    for stage, width in enumerate(section.widths, start=1):
        network.add_module(f"stage{stage}_block1", PreActBlock(channels, width, 2, activation))
        network.add_module(f"stage{stage}_block2", PreActBlock(width, width, 1, activation))
        channels = width
    network.add_module("pool", nn.AdaptiveAvgPool2d(1))
    network.add_module("flatten", nn.Flatten())
    network.add_module("output", nn.Linear(channels, classes))
    return network
