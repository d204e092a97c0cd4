"""Run a trained network over a split, with test-time augmentation if asked for, and score its predictions."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from convlab.data.dataset import Split
from convlab.numpy_engine.engine import NumpyInference
from convlab.schema import Experiment
from convlab.train.device import autocast
from convlab.train.loader import channels_last, in_order

BATCH = {"cpu": 500, "cuda": 2500}  # images: enough to fill a GPU, few enough for a CPU's caches


def for_inference(model: nn.Module, recipe: Experiment) -> nn.Module:
    """Return a model, which is on its device, as the recipe's engine computes it, with the same weights."""
    return NumpyInference(model) if recipe.engine == "numpy" else model


@torch.inference_mode()
def logits_of(
    model: nn.Module, split: Split, transform: nn.Module, precision: str, augmentation: str = "none"
) -> Tensor:
    """Compute the logits, float32 [N, classes], of a split that is on the model's device.

    With test-time augmentation they are the means over the `views` of each image.
    """
    model.eval()
    logits = []
    with autocast(precision, split.images.device):
        for images, _ in in_order(split, BATCH[split.images.device.type]):
            first, *others = (
                model(channels_last(view)).float() for view in views(transform(images), augmentation)
            )
            logits.append(sum(others, start=first) / (1 + len(others)))
    return torch.cat(logits)


def views(images: Tensor, augmentation: str) -> list[Tensor]:
    """Return the views of images [N, C, H, W] that test-time augmentation averages over.

    `none`: the images; `flip`: and their mirror images (left to right); `flip_shift`: and both shifted by a
    pixel along a diagonal, one way and the other, with the border repeated (after Jordan, 2024).
    """
    if augmentation == "none":
        return [images]
    found = [images]
    if augmentation == "flip_shift":
        padded = F.pad(images, (1, 1, 1, 1), "replicate")
        found += [padded[:, :, :-2, :-2], padded[:, :, 2:, 2:]]
    return found + [view.flip(3) for view in found]


def score(logits: Tensor, labels: Tensor) -> tuple[float, float]:
    """Compute the mean cross-entropy (nats) and the accuracy (0 to 1)."""
    loss = F.cross_entropy(logits, labels).item()
    return loss, (logits.argmax(1) == labels).double().mean().item()
