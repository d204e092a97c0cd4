"""Checkpoints of a training in several processes: the first one writes, and all know when."""

from typing import Any

import torch
import torch.distributed as dist

from convlab.interrupt import Interrupted
from convlab.train.checkpoint import Checkpoints


class CheckpointsOfAll(Checkpoints):
    """The checkpoints of one training, as one of its processes sees them. All of them read; the first writes.

    The files are those of a training in one process.
    """

    def due(self, epoch_ended: bool = False) -> bool:
        """Return whether it is time for one: what the first process says, which alone is asked to end."""
        told = torch.tensor([super().due(epoch_ended), self.request.number or 0])
        dist.broadcast(told, 0)
        due, number = told.tolist()
        self.request.number = number or None
        return bool(due)

    def save(self, epoch: int, step: int, parts: dict[str, Any]) -> None:
        """Write one, if this is the first process (see `Checkpoints`)."""
        if dist.get_rank() == 0:
            super().save(epoch, step, parts)
        elif self.request.number is not None:
            raise Interrupted(self.request.number, self.label)
