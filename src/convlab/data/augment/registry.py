"""The kinds of augmentation, by their sections of the schema; this module does nothing else."""

from typing import assert_never

from torch import Tensor

from convlab.data.augment.affine import affine
from convlab.data.augment.alternating_flip import alternating_flip
from convlab.data.augment.crop import crop
from convlab.data.augment.cutmix import cutmix
from convlab.data.augment.flip import flip
from convlab.data.augment.mixup import mixup
from convlab.data.augment.streams import Streams
from convlab.schema.training import Affine, AlternatingFlip, Augmentation, Crop, CutMix, Flip, Mixup


def augmented(
    step: Augmentation, images: Tensor, targets: Tensor, indices: Tensor, streams: Streams
) -> tuple[Tensor, Tensor]:
    """Return a batch as one kind of augmentation leaves it: images float32 [N, C, H, W], and targets.

    `indices` say which of the training images these are, int64 [N].
    """
    match step:
        case Affine():
            return affine(images, step, streams.device), targets
        case Crop():
            return crop(images, step, streams.device), targets
        case Flip():
            return flip(images, streams.device), targets
        case AlternatingFlip():
            return alternating_flip(images, indices, streams.seed, streams.epoch), targets
        case Mixup():
            return mixup(images, targets, step, streams.device, streams.host)
        case CutMix():
            return cutmix(images, targets, step, streams.device, streams.host)
        case _:
            assert_never(step)
