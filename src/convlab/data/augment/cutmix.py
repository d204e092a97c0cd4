"""A rectangle of another image pasted into each image, and labels mixed by its area."""

import math

import numpy as np
import torch
from torch import Tensor

from convlab.schema.training import CutMix


def cutmix(
    images: Tensor, targets: Tensor, step: CutMix, generator: torch.Generator, host: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Paste the same rectangle of another image into each; targets are mixed by its area."""
    height, width = images.shape[-2:]
    side = math.sqrt(1 - host.beta(step.alpha, step.alpha))
    top, bottom = _span(side * height, height, host)
    left, right = _span(side * width, width, host)
    other = torch.randperm(len(images), generator=generator, device=images.device)
    mixed = images.clone()
    mixed[:, :, top:bottom, left:right] = images[other, :, top:bottom, left:right]
    pasted = (bottom - top) * (right - left) / (height * width)
    return mixed, targets.lerp(targets[other], pasted)


def _span(length: float, size: int, host: np.random.Generator) -> tuple[int, int]:
    """Return the ends of a span of `length` with its middle at random in `size` pixels, clipped to these."""
    middle = host.integers(size)
    return max(0, round(middle - length / 2)), min(size, round(middle + length / 2))
