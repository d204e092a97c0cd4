"""Checkpoints of a training in several processes: the first one writes, and all know when."""

from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from convlab.interrupt import Interrupted, Request
from convlab.train.checkpoint import Checkpoints


class CheckpointsOfAll(Checkpoints):
    """The checkpoints of one training, as one of its processes sees them. All of them read; the first writes.

    The files are those of a training in one process. `request` is what all processes know: `asked`, this
    process's own, may be set by a signal at any time, and is told at the next step.
    """

    def __init__(self, folder: Path | None, asked: Request, label: str, seconds: float):
        """Set up, as one process of a group."""
        super().__init__(folder, Request(), label, seconds)
        self.asked = asked

    def due(self, epoch_ended: bool = False) -> bool:
        """Return whether it is time for one: what the first process says, which alone is asked to end."""
        self.request.number = self.asked.number
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
