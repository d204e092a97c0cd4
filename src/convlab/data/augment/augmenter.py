"""Augmentation of whole batches on the device: no worker, no copy to the host, no synchronisation."""

from typing import Any

import torch
from torch import Tensor

from convlab.data.augment.registry import augmented
from convlab.data.augment.streams import Streams
from convlab.schema.training import Augmentation


class Augmenter:
    """Augments the batches of one epoch, in their order."""

    def __init__(self, settings: list[Augmentation], seed: int, epoch: int, device: torch.device):
        self.settings = settings
        self.streams: dict[str, Streams] = {
            step.name: Streams(seed, step.name, epoch, device) for step in settings
        }

    def __call__(
        self, images: Tensor, targets: Tensor, indices: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Augment a batch.

        It takes raw images (uint8, or float of the same range) [N, C, H, W] on the device, targets, and which
        of the training images these are, int64 [N] (left out: the first ones, in order). It returns float32
        images of the same range, and targets. Mixup and CutMix need targets as probabilities, float
        [N, classes]; the others return them unchanged.
        """
        images = images.float()
        if indices is None:
            indices = torch.arange(len(images), device=images.device)
        for step in self.settings:
            images, targets = augmented(step, images, targets, indices, self.streams[step.name])
        return images, targets

    def state_dict(self) -> dict[str, Any]:
        """Return where each random stream is, for a checkpoint."""
        return {name: streams.state_dict() for name, streams in self.streams.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a checkpoint."""
        for name, streams in state.items():
            self.streams[name].load_state_dict(streams)
