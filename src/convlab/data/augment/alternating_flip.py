"""Mirror images, each in every other epoch."""

import torch
from torch import Tensor

from convlab.seeds import derive_seed

MASK = 2**32 - 1  # the low 32 bits of an integer


def alternating_flip(images: Tensor, indices: Tensor, seed: int, epoch: int) -> Tensor:
    """Mirror half of the images, chosen by (seed, index), in odd epochs, and the others in even ones."""
    mirrored = (coins(indices, seed) ^ (epoch % 2 == 0)).view(-1, 1, 1, 1)
    return torch.where(mirrored, images.flip(3), images)


def coins(indices: Tensor, seed: int) -> Tensor:
    """Return a fair coin toss for each index: booleans that depend on (seed, index) alone.

    The index hashed, by multiplications that wrap around and shifts (as MurmurHash ends): a generator would
    have to draw for the whole data set to serve one batch.
    """
    bits = (indices + derive_seed(seed, "augment/alternating_flip") % 2**32) & MASK
    for factor in (0x85EBCA6B, 0xC2B2AE35):
        bits = ((bits ^ (bits >> 16)) * factor) & MASK
    return (bits ^ (bits >> 16)) & 1 == 1
