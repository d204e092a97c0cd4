"""A first layer that whitens patches of the image, as in the CIFAR-10 speed runs of Page and Jordan."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from convlab.models.layers import Conv2dSame

IMAGES = 5000  # they have millions of patches: plenty for a covariance of a few hundred entries
BATCH = 250  # images a pass: bounds the memory that patches in float64 take


class Whitening(Conv2dSame):
    """A convolution [N, C, H, W] → [N, 2·C·k², H, W] that is computed from images, not trained.

    Its filters are the eigenvectors of the covariance of the patches, each divided by √(λ + eps): over all
    patches their outputs have mean 0, variance 1, and are uncorrelated. The second half of the filters are
    the negatives of the first, so that nothing is lost in an activation like ReLU, which has to follow.
    """

    def __init__(self, channels: int, kernel: int, eps: float):
        super().__init__(channels, 2 * channels * kernel**2, kernel)
        self.eps = eps
        self.requires_grad_(False)

    @torch.no_grad()
    def compute(self, images: Tensor) -> None:
        """Compute the filters from inputs of the network, float32 [N, C, H, W], without padding."""
        mean, covariance = patch_statistics(images, self.kernel)
        variances, vectors = torch.linalg.eigh(covariance.cpu())  # a column for each eigenvector
        filters = (vectors / (variances.clamp(min=0) + self.eps).sqrt()).T
        filters = torch.cat([filters, -filters])
        assert self.bias is not None
        self.weight.copy_(filters.view_as(self.weight))
        self.bias.copy_(-filters @ mean.cpu())


def compute_whitening(model: nn.Module, images: Tensor, transform: nn.Module) -> None:
    """Compute the filters of a model's whitening layer, if it has one, from the first of the raw images."""
    for layer in model.modules():
        if isinstance(layer, Whitening):
            layer.compute(transform(images[:IMAGES]))


def patch_statistics(images: Tensor, kernel: int) -> tuple[Tensor, Tensor]:
    """Compute the mean, float64 [C·k²], and the covariance, [C·k², C·k²], of all patches in [N, C, H, W]."""
    count, total, products = 0, torch.zeros((), device=images.device), torch.zeros((), device=images.device)
    for batch in images.split(BATCH):
        patches = F.unfold(batch.double(), kernel).transpose(1, 2).flatten(0, 1)
        count += len(patches)
        total = total + patches.sum(0)
        products = products + patches.T @ patches
    mean = total / count
    return mean, products / count - mean.outer(mean)
