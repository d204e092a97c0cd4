"""Layers that see the whole batch although a process has only its share of it."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from convlab.train.distributed.share import Share, Summed

IMAGES_AND_PIXELS = (0, 2, 3)


class BatchNormOfAll(nn.BatchNorm2d):
    """Batch normalisation by the statistics of the whole batch, on CPUs, which `SyncBatchNorm` refuses."""

    def __init__(self, norm: nn.BatchNorm2d, share: Share):
        """Take the place of `norm`, with its weights and statistics."""
        super().__init__(norm.num_features, norm.eps, norm.momentum)
        self.weight, self.bias = norm.weight, norm.bias
        self.running_mean, self.running_var = norm.running_mean, norm.running_var
        self.num_batches_tracked = norm.num_batches_tracked
        self.share = share

    def forward(self, input: Tensor) -> Tensor:
        """Normalise this process's images, [n, C, H, W]."""
        if not self.training:
            return super().forward(input)
        images = input.float()  # statistics are float32 under autocast, too
        count = self.share.total * images.shape[2] * images.shape[3]
        mean = _summed(images) / count
        centred = images - mean
        variance = _summed(centred.square()) / count
        self._follow(mean.detach().flatten(), variance.detach().flatten() * (count / (count - 1)))
        weight, bias = self.weight.view(1, -1, 1, 1), self.bias.view(1, -1, 1, 1)
        return (centred * (variance + self.eps).rsqrt() * weight + bias).to(input.dtype)

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        """Move the running statistics towards those of a batch."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)
        self.num_batches_tracked += 1


class DropoutOfAll(nn.Module):
    """Dropout that draws for the whole batch, as one process does, and takes the part of its own images."""

    def __init__(self, probability: float, share: Share):
        super().__init__()
        self.probability, self.share = probability, share

    def forward(self, input: Tensor) -> Tensor:
        """Drop elements of this process's images, [n, …]."""
        if not self.training:
            return input
        # The memory order decides which element gets which random number.
        last = input.ndim == 4 and input.is_contiguous(memory_format=torch.channels_last)
        order = torch.channels_last if last else torch.contiguous_format
        shape = (self.share.total, *input.shape[1:])
        ones = torch.empty(shape, dtype=input.dtype, device=input.device, memory_format=order).fill_(1)
        return input * F.dropout(ones, self.probability)[self.share.own]


def seeing_all(network: nn.Module, share: Share, device: torch.device) -> nn.Module:
    """Put layers that see the whole batch in place of those that would only see this process's share."""
    if device.type == "cuda":
        network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
    return _replaced(network, share)


def _replaced(module: nn.Module, share: Share) -> nn.Module:
    match module:
        case nn.BatchNorm2d():
            return BatchNormOfAll(module, share)
        case nn.Dropout():
            return DropoutOfAll(module.p, share)
    for name, child in module.named_children():
        setattr(module, name, _replaced(child, share))
    return module


def _summed(images: Tensor) -> Tensor:
    """Return the sum of each channel over the whole batch, [1, C, 1, 1]."""
    total: Tensor = Summed.apply(images.sum(IMAGES_AND_PIXELS, keepdim=True))
    return total
