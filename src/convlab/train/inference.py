"""Run a trained network over a split, and score what it says."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from convlab.data.preprocess import Split
from convlab.train.device import autocast
from convlab.train.loader import channels_last, in_order

BATCH = 500  # images: large enough to fill a device, small enough for a CPU's caches


@torch.inference_mode()
def logits_of(model: nn.Module, split: Split, transform: nn.Module, precision: str) -> Tensor:
    """Compute the logits, float32 [N, classes], of a split that is on the model's device."""
    model.eval()
    logits = []
    with autocast(precision, split.images.device):
        for images, _ in in_order(split, BATCH):
            logits.append(model(channels_last(transform(images))).float())
    return torch.cat(logits)


def score(logits: Tensor, labels: Tensor) -> tuple[float, float]:
    """Compute the mean cross-entropy (nats) and the accuracy (0 to 1)."""
    loss = F.cross_entropy(logits, labels).item()
    return loss, (logits.argmax(1) == labels).double().mean().item()
