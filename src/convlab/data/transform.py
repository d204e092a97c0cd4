"""From stored bytes to the network's input: greyscale, scaling, z-score; on whole batches, on the device."""

import torch
from torch import Tensor, nn

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as R3 states it
TINY = 1e-7  # an image of one colour has a deviation of 0


class Transform(nn.Module):
    """uint8 [N, C, H, W] → float32 [N, C', H, W], with C' = 1 for greyscale, else C.

    x · scale, then (x − mean) / std with one mean and std per channel, or those of each image by itself.
    """

    luma: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, scale: float, mean: list[float], std: list[float], greyscale: bool, per_image: bool):
        super().__init__()
        self.scale, self.greyscale, self.per_image = scale, greyscale, per_image
        self.register_buffer("luma", torch.tensor(LUMA).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Transform a batch of raw images."""
        pixels = images.float() * self.scale
        if self.greyscale:
            pixels = (pixels * self.luma).sum(1, keepdim=True)
        if self.per_image:
            std, mean = torch.std_mean(pixels, dim=(1, 2, 3), keepdim=True, correction=0)
            return (pixels - mean) / std.clamp(min=TINY)
        return (pixels - self.mean) / self.std
