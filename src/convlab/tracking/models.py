"""A trained network as MLflow holds it: raw uint8 images in, logits out; an exported program, no pickle."""

import warnings
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from convlab.data.dataset import load_split, load_statistics
from convlab.errors import InputError
from convlab.models.build import load_model
from convlab.models.weights import hash_weights
from convlab.tracking.run import Training
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


def served(training: Training) -> Served:
    """Build the network of a training, from weights that are verified to be its own.

    Raises:
        InputError: a file is missing or damaged, or the weights are of another training.
    """
    statistics = load_statistics(training.prepared)
    model = load_model(training.experiment, statistics, training.weights)
    if training.hash is not None and hash_weights(model) != training.hash:
        raise InputError(f"{training.weights}: not the weights that metrics/{training.item} is about")
    return Served(statistics.transform(), model, training.experiment.test_time_augmentation).eval()


def log(client: "MlflowClient", run_id: str, training: Training) -> str:
    """Export a training's network into a run of MLflow's; return its address there, `models:/m-…`.

    Raises:
        InputError: as `served`.
    """
    import mlflow.pytorch
    from mlflow.models import infer_signature

    model = served(training)
    images = load_split(training.prepared, "validation").images[:2]  # one would fix N
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
