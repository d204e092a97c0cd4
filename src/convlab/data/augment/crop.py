"""Shifts by whole pixels."""

import torch
import torch.nn.functional as F
from torch import Tensor

from convlab.schema.training import Crop

PAD_MODES = {"zero": "constant", "nearest": "replicate", "reflect": "reflect"}  # the borders, for F.pad


def crop(images: Tensor, step: Crop, generator: torch.Generator) -> Tensor:
    """Pad each image on all sides and crop it to its size at a random position."""
    count, _, height, width = images.shape
    places = 2 * step.padding + 1
    padded = F.pad(images, (step.padding,) * 4, PAD_MODES[step.border])
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)  # a view: [N, C, places, places, H, W]
    random = torch.randint(places, (2, count), generator=generator, device=images.device)
    return windows[torch.arange(count, device=images.device), :, random[0], random[1]]
