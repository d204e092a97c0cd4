"""Losses, accuracies, per-class report and confusion: the one place that reads the test split."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from convlab.data.dataset import Split, load_split, load_statistics
from convlab.models.weights import hash_weights
from convlab.schema import SPLITS, Experiment
from convlab.train.device import prepare_process, select_device
from convlab.train.inference import for_inference, logits_of, score
from convlab.train.loader import place, to_device


@dataclass(frozen=True)
class Evaluation:
    """The scores of a trained model.

    `scores` are {split: {"loss", "accuracy", "images"}}, and under "weights" the hash of the weights, by
    which `results` matches scores to trainings. `probabilities` and `labels` are the test split's: float32
    [N, classes] and int64 [N] on the CPU.
    """

    seed: int
    scores: dict[str, Any]
    probabilities: Tensor
    labels: Tensor


def evaluate(model: nn.Module, experiment: Experiment, folder: Path) -> Evaluation:
    """Evaluate a trained model on all three splits of the prepared data in `folder`, or on a sample of the
    training images (`train_images_scored`).

    All scores and probabilities are with the experiment's test-time augmentation, and in float32 whatever
    the training was in: rounding to bfloat16 would make equal networks differ.
    """
    device = select_device(experiment.device)
    prepare_process(experiment.threads, experiment.deterministic)
    transform = load_statistics(folder).transform().to(device)
    place(model, device)
    scores: dict[str, Any] = {"weights": hash_weights(model)}
    model = for_inference(model, experiment)
    for name in SPLITS:
        split = load_split(folder, name)
        if name == "train" and experiment.train_images_scored:
            split = evenly_spaced(split, experiment.train_images_scored)
        split = to_device(split, device)
        logits = logits_of(model, split, transform, "fp32", experiment.test_time_augmentation)
        loss, accuracy = score(logits, split.labels)
        scores[name] = {"loss": loss, "accuracy": accuracy, "images": len(split.labels)}
    return Evaluation(experiment.seed, scores, logits.softmax(1).cpu(), split.labels.cpu())


def evenly_spaced(split: Split, images: int) -> Split:
    """Return at most so many images of a split, evenly spaced from its first to its last."""
    if images >= len(split.labels):
        return split
    chosen = torch.linspace(0, len(split.labels) - 1, images).round().long()
    return Split(split.images[chosen], split.labels[chosen])


def per_class(probabilities: Tensor, labels: Tensor, classes: list[str]) -> dict[str, dict[str, float]]:
    """Compute precision, recall, F1 and the number of images of each class."""
    from sklearn.metrics import (
        precision_recall_fscore_support,
    )  # takes a second to import, which a training need not wait for

    precision, recall, f1, support = precision_recall_fscore_support(
        labels, probabilities.argmax(1), labels=range(len(classes)), zero_division=0.0
    )
    return {
        name: {
            "precision": float(precision[index]),
            "recall": float(recall[index]),
            "f1": float(f1[index]),
            "images": int(support[index]),
        }
        for index, name in enumerate(classes)
    }


def confusion_rows(probabilities: Tensor, labels: Tensor, classes: list[str]) -> list[dict[str, str]]:
    """List the actual and the predicted class of each image, as DVC's confusion template reads them."""
    predicted = probabilities.argmax(1).tolist()
    return [
        {"actual": classes[label], "predicted": classes[guess]}
        for label, guess in zip(labels.tolist(), predicted, strict=True)
    ]
