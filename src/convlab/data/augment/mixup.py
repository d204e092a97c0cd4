"""Blends of two images and their labels."""

import numpy as np
import torch
from torch import Tensor

from convlab.schema.training import Mixup


def mixup(
    images: Tensor, targets: Tensor, step: Mixup, generator: torch.Generator, host: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Blend each image and its target with those of another image of the batch, all by the same λ."""
    share = host.beta(step.alpha, step.alpha)
    other = torch.randperm(len(images), generator=generator, device=images.device)
    return images.lerp(images[other], 1 - share), targets.lerp(targets[other], 1 - share)
