"""A trained network as MLflow holds it: raw uint8 images in, logits out; an exported program, no pickle."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from convlab.data.catalogue import DATASETS
from convlab.data.dataset import Statistics, load_statistics
from convlab.errors import InputError
from convlab.models.build import load_model
from convlab.models.weights import hash_weights
from convlab.networks import champions
from convlab.tracking.run import Origin
from convlab.train.inference import views

if TYPE_CHECKING:
    from mlflow import MlflowClient


class Served(nn.Module):
    """The network as MLflow serves it: published images, uint8 [N, C, H, W] → logits, float32 [N, classes].

    Greyscale, scaling and test-time augmentation are inside, so that it predicts as it was evaluated.
    """

    def __init__(self, transform: nn.Module, model: nn.Module, augmentation: str):
        super().__init__()
        self.transform, self.model, self.augmentation = transform, model, augmentation

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits, means over the views of each image."""
        first, *others = (self.model(view) for view in views(self.transform(images), self.augmentation))
        logits: Tensor = sum(others, start=first) / (1 + len(others))
        return logits


def missing(origin: Origin) -> Path | None:
    """Return a file that is neither here nor, as a champion's, in git; None where there is all of a network.

    Raises:
        InputError: the champion's file is damaged.
    """
    absent = origin.missing()
    return None if absent is None or _in_git(origin) else absent


def served(origin: Origin) -> Served:
    """Build the network of a training, from weights that are verified to be its own.

    Raises:
        InputError: a file is missing or damaged, or the weights are of another training.
    """
    weights, statistics = _files(origin)
    model = load_model(origin.experiment, statistics, weights)
    if origin.hash is not None and hash_weights(model) != origin.hash:
        raise InputError(f"{weights}: not the weights that metrics/{origin.item} is about")
    return Served(statistics.transform(), model, origin.experiment.test_time_augmentation).eval()


def log(client: "MlflowClient", run_id: str, origin: Origin) -> str:
    """Export a training's network into a run of MLflow's; return its address there, `models:/m-…`.

    Raises:
        InputError: as `served`.
    """
    import mlflow.pytorch
    from mlflow.models import infer_signature

    model = served(origin)
    images = _example(origin)
    with torch.inference_mode():
        signature = infer_signature(images.numpy(), model(images).numpy())
    with warnings.catch_warnings(), mlflow.start_run(run_id=run_id):
        client.set_terminated(run_id, "KILLED")  # `start_run` has marked it as running
        warnings.simplefilter("ignore")  # MLflow's own use of torch.export causes them
        logged: Any = mlflow.pytorch.log_model(
            model,
            name="model",
            signature=signature,
            input_example=images.numpy(),
            pip_requirements=[f"torch=={torch.__version__.split('+')[0]}"],
            serialization_format="pt2",
        )
    return str(logged.model_uri)


def _in_git(origin: Origin) -> tuple[Path, Statistics] | None:
    return champions.find(origin.item, origin.hash) if origin.trial is None else None


def _files(origin: Origin) -> tuple[Path, Statistics]:
    """Return the weights, and how images become the network's input: what was trained here goes first."""
    if origin.missing() and (kept := _in_git(origin)):
        return kept
    return origin.weights, load_statistics(origin.prepared)


def _example(origin: Origin) -> Tensor:
    """Return two images of noise as they are published, uint8 [2, C, H, W]: a single one would fix N."""
    channels, _, _ = DATASETS[origin.experiment.dataset].shape
    _, height, width = origin.experiment.input_shape
    noise = torch.Generator().manual_seed(0)
    return torch.randint(256, (2, channels, height, width), dtype=torch.uint8, generator=noise)
