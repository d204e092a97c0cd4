"""The share of a batch that one process computes, and differentiable sums over all processes."""

from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass
class Share:
    """Which part of the current batch is this process's: number `rank` of `ranks`, of `total` images."""

    rank: int
    ranks: int
    total: int = 0

    @property
    def own(self) -> slice:
        """The images of this process: as many as the others have, or one more or less."""
        return slice(self.rank * self.total // self.ranks, (self.rank + 1) * self.total // self.ranks)


class Summed(torch.autograd.Function):
    """The sum of a tensor over all processes. Each adds to the loss, so their gradients are summed too."""

    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:
        """Sum."""
        total = own.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """Sum the gradients."""
        total = gradient.clone()
        dist.all_reduce(total)
        return total


class Gathered(torch.autograd.Function):
    """The logits of a whole batch, [N, classes], from those of each process's images, in their order.

    Every process then computes the same loss of the whole batch, the mean over all images, however many of
    them are its own. Its gradient goes to its own images, times the number of processes, as
    DistributedDataParallel averages over processes: the average is the gradient of the mean. What the loss
    has beside the logits, the L2 penalty, each computes whole, and the average leaves it as it is.
    """

    @staticmethod
    def forward(ctx: Any, own: Tensor, share: Share) -> Tensor:
        """Gather."""
        ctx.own, ctx.ranks = share.own, share.ranks
        return gathered(own, share)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """Take the part of this process's images."""
        return gradient[ctx.own] * ctx.ranks, None


def gathered(own: Tensor, share: Share) -> Tensor:
    """Return [N, …] from each process's part of it, the same bits in all; adding zeros changes none."""
    whole = own.new_zeros(share.total, *own.shape[1:])
    whole[share.own] = own
    dist.all_reduce(whole)
    return whole
