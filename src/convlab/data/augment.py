"""Augmentation of whole batches on the device: no worker, no trip to the host, no waiting for the device.

Every augmentation draws from its own random stream, (seed, its name, epoch): one more of them, or one less,
changes nothing about the others.
"""

import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from convlab.schema.training import Affine, AlternatingFlip, Augmentation, Crop, CutMix, Flip, Mixup
from convlab.seeds import derive, derive_seed

PAD_MODES = {"zero": "constant", "nearest": "replicate", "reflect": "reflect"}  # the borders, for F.pad
GRID_MODES = {"zero": "zeros", "nearest": "border", "reflect": "reflection"}  # and for F.grid_sample
MASK = 2**32 - 1  # the low 32 bits of an integer


class Augmenter:
    """Augments the batches of one epoch, in their order."""

    def __init__(self, settings: list[Augmentation], seed: int, epoch: int, device: torch.device):
        self.settings, self.seed, self.epoch, self.device = settings, seed, epoch, device
        self.generators = {
            step.name: derive(seed, f"augment/{step.name}", epoch, device) for step in settings
        }
        self.hosts = {step.name: _host_stream(seed, step.name, epoch) for step in settings}

    def __call__(
        self, images: Tensor, targets: Tensor, indices: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Augment a batch.

        It takes raw images (uint8, or float of the same range) [N, C, H, W] on the device, targets, and which
        of the training images these are, int64 [N] (left out: the first ones, in order). It returns float32
        images of the same range, and targets. Mixup and CutMix need targets as probabilities, float
        [N, classes]; the others return them as they came.
        """
        images = images.float()
        for step in self.settings:
            generator, host = self.generators[step.name], self.hosts[step.name]
            match step:
                case Affine():
                    images = affine(images, step, generator)
                case Crop():
                    images = crop(images, step, generator)
                case Flip():
                    images = flip(images, generator)
                case AlternatingFlip():
                    which = torch.arange(len(images), device=self.device) if indices is None else indices
                    images = alternating_flip(images, which, self.seed, self.epoch)
                case Mixup():
                    images, targets = mixup(images, targets, step, generator, host)
                case CutMix():
                    images, targets = cutmix(images, targets, step, generator, host)
        return images, targets

    def state_dict(self) -> dict[str, Any]:
        """Give where each random stream is, for a checkpoint."""
        return {
            "generators": {name: stream.get_state() for name, stream in self.generators.items()},
            "hosts": {name: stream.bit_generator.state for name, stream in self.hosts.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        for name, position in state["generators"].items():
            self.generators[name].set_state(position)
        for name, position in state["hosts"].items():
            self.hosts[name].bit_generator.state = position


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


def crop(images: Tensor, step: Crop, generator: torch.Generator) -> Tensor:
    """Pad each image on all sides and cut it out again at a random place."""
    count, _, height, width = images.shape
    places = 2 * step.padding + 1
    padded = F.pad(images, (step.padding,) * 4, PAD_MODES[step.border])
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)  # a view: [N, C, places, places, H, W]
    random = torch.randint(places, (2, count), generator=generator, device=images.device)
    return windows[torch.arange(count, device=images.device), :, random[0], random[1]]


def flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror each image left to right, or not, with even chances."""
    mirrored = torch.rand(len(images), 1, 1, 1, generator=generator, device=images.device) < 0.5
    return torch.where(mirrored, images.flip(3), images)


def alternating_flip(images: Tensor, indices: Tensor, seed: int, epoch: int) -> Tensor:
    """Mirror the images for which (seed, index) says so in odd epochs, and the others in even ones."""
    mirrored = (coins(indices, seed) ^ (epoch % 2 == 0)).view(-1, 1, 1, 1)
    return torch.where(mirrored, images.flip(3), images)


def coins(indices: Tensor, seed: int) -> Tensor:
    """Toss a coin for each index: booleans with even chances that depend on (seed, index) alone.

    The index hashed, by multiplications that wrap around and shifts (as MurmurHash ends): a generator would
    have to draw for the whole data set to answer for a batch.
    """
    bits = (indices + derive_seed(seed, "augment/alternating_flip") % 2**32) & MASK
    for factor in (0x85EBCA6B, 0xC2B2AE35):
        bits = ((bits ^ (bits >> 16)) * factor) & MASK
    return (bits ^ (bits >> 16)) & 1 == 1


def mixup(
    images: Tensor, targets: Tensor, step: Mixup, generator: torch.Generator, host: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Blend each image and its target with those of another image of the batch, all by the same λ."""
    share = host.beta(step.alpha, step.alpha)
    other = torch.randperm(len(images), generator=generator, device=images.device)
    return images.lerp(images[other], 1 - share), targets.lerp(targets[other], 1 - share)


def cutmix(
    images: Tensor, targets: Tensor, step: CutMix, generator: torch.Generator, host: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Paste the same rectangle of another image into each; targets mix by the area that is left."""
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
    """Place a stretch of `length` with its middle anywhere in `size` pixels; what sticks out is cut off."""
    middle = host.integers(size)
    return max(0, round(middle - length / 2)), min(size, round(middle + length / 2))


def _host_stream(seed: int, name: str, epoch: int) -> np.random.Generator:
    return np.random.default_rng(derive_seed(seed, f"augment/{name}/host", epoch))
