"""Layers that the reports' networks need and PyTorch lacks."""

from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

# `inplace` where the gradient needs only the output: one feature map less in memory
ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": partial(nn.ReLU, inplace=True),  # type: ignore[dict-item]
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
}


class InfeasibleGeometry(ValueError):
    """A network's strides and poolings shrink the image to nothing."""


class Conv2dSame(nn.Conv2d):
    """A convolution with 'same' padding for any kernel and stride: ⌈n / stride⌉ pixels come out of n.

    An odd pixel of padding goes to the right and the bottom, as TensorFlow defines 'same', the framework of
    most of the reports; PyTorch's own `padding="same"` takes no strides.
    """

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int = 1, bias: bool = True):
        super().__init__(channels_in, channels_out, kernel, stride, bias=bias)
        self.kernel, self.step = kernel, stride

    def forward(self, input: Tensor) -> Tensor:
        """Convolve [N, C, H, W] to [N, C', ⌈H / stride⌉, ⌈W / stride⌉]."""
        height, width = (self._padding(size) for size in input.shape[-2:])
        if height % 2 == 0 and width % 2 == 0:  # even: the convolution pads by itself, without a copy
            return F.conv2d(input, self.weight, self.bias, self.stride, (height // 2, width // 2))
        padding = (width // 2, width - width // 2, height // 2, height - height // 2)
        return F.conv2d(F.pad(input, padding), self.weight, self.bias, self.stride)

    def _padding(self, size: int) -> int:
        return max((-(-size // self.step) - 1) * self.step + self.kernel - size, 0)
