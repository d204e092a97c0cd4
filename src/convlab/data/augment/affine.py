"""Rotation, shear, zoom and shift, each image by its own amounts."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from convlab.schema.training import Affine

GRID_MODES = {"zero": "zeros", "nearest": "border", "reflect": "reflection"}  # the borders, for F.grid_sample


def affine(images: Tensor, step: Affine, generator: torch.Generator) -> Tensor:
    """Rotate, shear, zoom and shift each image about its centre, with bilinear interpolation.

    As Keras' `ImageDataGenerator` composes them (R1's framework), whose zoom has one factor per direction.
    """
    count = len(images)
    random = torch.rand(6, count, generator=generator, device=images.device) * 2 - 1
    angle, shear = random[0] * math.radians(step.rotation), random[1] * math.radians(step.shear)
    zoom_x, zoom_y = 1 + random[2] * step.zoom, 1 + random[3] * step.zoom
    theta = images.new_empty(count, 2, 3)
    theta[:, 0, 0], theta[:, 0, 1] = angle.cos() * zoom_x, -(angle + shear).sin() * zoom_y
    theta[:, 1, 0], theta[:, 1, 1] = angle.sin() * zoom_x, (angle + shear).cos() * zoom_y
    shift = 2 * step.shift * random[4:]  # the image spans −1 to 1: a shift by its width is 2
    theta[:, 0, 2] = angle.cos() * shift[0] - angle.sin() * shift[1]  # turned with the image, as in Keras
    theta[:, 1, 2] = angle.sin() * shift[0] + angle.cos() * shift[1]
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, "bilinear", GRID_MODES[step.border], align_corners=False)
