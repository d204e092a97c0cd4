"""Batches from tensors that live on the device, by index: no workers, no copies from the host."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from convlab.data.dataset import Split
from convlab.schema.training import Resize
from convlab.seeds import derive


class Batch(NamedTuple):
    """Images and labels as in a `Split`, and which of its images these are, int64 [N]."""

    images: Tensor
    labels: Tensor
    indices: Tensor


AT_ONCE = 8192  # images that are prepared together on a GPU


def prepared_at_once(batch_size: int, mixing: bool, device: torch.device) -> int:
    """Return how many batches are transformed and augmented together.

    On a GPU several, to share the cost of launching the kernels of an augmentation, which take less time than
    Python needs to launch them. On a CPU one, which stays in its caches; and one if images of a batch are
    mixed with each other, by an amount that each batch draws for itself.
    """
    return max(1, AT_ONCE // batch_size) if device.type == "cuda" and not mixing else 1


def to_device(split: Split, device: torch.device) -> Split:
    """Move a split to the device, once for a whole training (uint8: CIFAR-10 is 150 MB)."""
    return Split(split.images.to(device), split.labels.to(device))


def place(model: nn.Module, device: torch.device) -> None:
    """Move a model to the device, its kernels in the memory order of `channels_last` images."""
    model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]


def shuffled(split: Split, batch_size: int, seed: int, epoch: int, skip: int = 0) -> Iterator[Batch]:
    """Yield a split in the order of (seed, epoch): a full permutation, where R0 has a shuffle buffer.

    The last batch holds what is left over; the first `skip` batches are left out.
    """
    order = torch.randperm(len(split.labels), generator=derive(seed, "order", epoch)).to(split.labels.device)
    for indices in order.split(batch_size)[skip:]:
        yield Batch(split.images[indices], split.labels[indices], indices)


def in_batches(chunks: Iterable[tuple[Tensor, Tensor]], batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the batches of chunks of images and targets."""
    for images, targets in chunks:
        yield from zip(images.split(batch_size), targets.split(batch_size), strict=True)


def in_order(split: Split, batch_size: int) -> Iterator[Split]:
    """Yield the batches of a split from first to last."""
    yield from map(Split, split.images.split(batch_size), split.labels.split(batch_size))


def size_at(settings: list[Resize], done: float) -> int | None:
    """Return the size of the images when a share of the training is `done` (0 to 1); None: as they are."""
    return next((stage.size for stage in settings if done < stage.until), None)


def resized(images: Tensor, size: int | None) -> Tensor:
    """Scale float images down to `size` × `size` pixels, without aliasing; None: as they are."""
    if size is None:
        return images
    return F.interpolate(images, (size, size), mode="bilinear", align_corners=False, antialias=True)


def channels_last(images: Tensor) -> Tensor:
    """Return images that lie as [N, H, W, C] in memory, the order in which convolutions are fastest."""
    return images.contiguous(memory_format=torch.channels_last)
