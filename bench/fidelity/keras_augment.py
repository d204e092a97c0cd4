"""The affine augmentation, ours and that of Keras' `ImageDataGenerator`."""

import os

os.environ["KERAS_BACKEND"] = "tensorflow"  # before the first import of keras

import numpy as np
import torch
from keras.src.legacy.preprocessing.image import ImageDataGenerator, apply_affine_transform

from convlab.data.augment.affine import affine
from convlab.schema.training import Affine


def affine_difference(amounts: dict[str, float], count: int = 64, size: int = 32) -> float:
    """Return the largest difference of a pixel, up to 255, to Keras' images for the same draws."""
    step = Affine(name="affine", border="nearest", **amounts)
    image = torch.rand(3, size, size, generator=torch.Generator().manual_seed(1)) * 255
    ours = affine(image.expand(count, -1, -1, -1).contiguous(), step, torch.Generator().manual_seed(5))
    random = torch.rand(6, count, generator=torch.Generator().manual_seed(5)).double().numpy() * 2 - 1
    picture, worst = image.permute(1, 2, 0).numpy(), 0.0
    for found, drawn in zip(ours, random.T, strict=True):
        theirs = apply_affine_transform(
            picture.copy(),
            theta=drawn[0] * step.rotation,
            shear=drawn[1] * step.shear,
            zx=1 + drawn[2] * step.zoom,
            zy=1 + drawn[3] * step.zoom,
            tx=drawn[4] * step.shift * size,
            ty=drawn[5] * step.shift * size,
            row_axis=0,
            col_axis=1,
            channel_axis=2,
            fill_mode="nearest",
            order=1,
        )
        worst = max(worst, float(np.abs(theirs.transpose(2, 0, 1) - found.numpy()).max()))
    return worst


def range_differences(step: Affine, draws: int, size: int = 32) -> list[float]:
    """Compare the ranges of the random parameters in Keras with an augmentation's, limit by limit."""
    np.random.seed(1)
    generator = ImageDataGenerator(
        rotation_range=step.rotation,
        width_shift_range=step.shift,
        height_shift_range=step.shift,
        shear_range=step.shear,
        zoom_range=step.zoom,
    )
    found = [generator.get_random_transform((size, size, 3)) for _ in range(draws)]
    shift = size * step.shift
    ends = {"theta": step.rotation, "tx": shift, "ty": shift, "shear": step.shear}
    ends |= {"zx": step.zoom, "zy": step.zoom}
    apart = []
    for key, end in ends.items():
        amounts = np.array([one[key] for one in found]) - (1 if key.startswith("z") else 0)
        apart += [abs(amounts.max() / end - 1), abs(amounts.min() / end + 1)]
    return apart
