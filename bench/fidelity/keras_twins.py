"""Our networks in Keras 3: the same layers, with copies of our weights.

Only the family `cnn` with ReLU, which is every network of the reports that were made with Keras.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

os.environ["KERAS_BACKEND"] = "tensorflow"  # before the first import of keras

import keras
import numpy as np
import torch
import torch.nn.functional as F
from keras import layers
from torch import Tensor, nn

from bench.speed.cases import experiment_of
from convlab.data.catalogue import DATASETS
from convlab.errors import InputError
from convlab.models.build import build_model
from convlab.schema import CNN, Experiment

CLASSES = 10
EPSILON = 1e-7  # Adam's, in Keras and in params.yaml
# Name → experiment of params.yaml, and changes to its network: the extremes of the sweeps
NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "mnist_vgg": ("mnist_vgg", {}),
    "mnist_vgg, k 5 5 3, s 2 1 1": ("mnist_vgg", {"kernels": [5, 5, 3], "strides": [2, 1, 1]}),
    "mnist_vgg, s 1 1 2": ("mnist_vgg", {"strides": [1, 1, 2]}),
    "mnist_cnn": ("mnist_cnn", {}),
    "mnist_cnn, k 9, s 3": ("mnist_cnn", {"kernels": [9, 9], "strides": [3, 3]}),
    "cifar10_cnn": ("cifar10_cnn", {}),
    "cifar10_cnn, s 2 2 1": ("cifar10_cnn", {"strides": [2, 2, 1]}),
    "mnist_2x2": ("mnist_2x2", {}),
    "mnist_2x2, k 3": ("mnist_2x2", {"kernels": [3, 3]}),
    "mnist_2x2, k 5": ("mnist_2x2", {"kernels": [5, 5]}),
    "mnist_2x2, k 5, s 2": ("mnist_2x2", {"kernels": [5, 5], "strides": [2, 2]}),
    "mnist_2x2, k 5, s 3": ("mnist_2x2", {"kernels": [5, 5], "strides": [3, 3]}),
    "mnist_2x2, s 2": ("mnist_2x2", {"strides": [2, 2]}),
    "mnist_2x2, s 3": ("mnist_2x2", {"strides": [3, 3]}),
    "cifar10_grey": ("cifar10_grey", {}),
    "cifar10_grey, k 5, s 2+2 1 1": ("cifar10_grey", {"kernels": [5, 5, 5], "strides": [[2, 2], 1, 1]}),
    "cifar10_grey, k 7": ("cifar10_grey", {"kernels": [7, 7, 7]}),
}


class Pair:
    """A network of ours and its twin in Keras, which has the same weights.

    Both compute in Keras' `floatx`, which `floats` sets. Dropout is left out: each framework draws its own.

    Args:
        name: of NETWORKS.
        seed: of what `shaken` and `batch` draw; the initial weights have the experiment's own.
        shaken: biases, and what batch normalisation has, are drawn anew: initial ones are 0 and 1.
        carry: our weights are carried over; otherwise the twin has those that Keras draws.
        changes: of the experiment, such as its `l2`.
        probabilities: the twin ends in a softmax, as a Keras network that is trained does.
    """

    def __init__(
        self,
        name: str,
        seed: int = 0,
        shaken: bool = False,
        probabilities: bool = False,
        carry: bool = True,
        **changes: Any,
    ):
        experiment, network = NETWORKS[name]
        self.recipe = recipe_of(experiment, network, changes)
        self.generator = torch.Generator().manual_seed(seed)
        self.dtype = getattr(torch, keras.config.floatx())
        self.shape = input_shape(self.recipe)
        self.ours = build_model(self.recipe, self.shape, CLASSES)
        if shaken:
            shake(self.ours, self.generator)
        self.ours.to(self.dtype)
        self.theirs = twin(self.recipe, self.shape, probabilities)
        if carry:
            self.theirs.set_weights(weights_of(self.ours))
        # R3's raw pixels go to 255, and so do its logits
        self.largest = 255.0 if self.recipe.preprocess.scaling == "none" else 1.0
        self.prototypes = self._random(CLASSES, *self.shape)

    def batch(self, count: int) -> tuple[Tensor, Tensor]:
        """Return images [N, C, H, W] of separable classes, and their labels."""
        labels = torch.randint(CLASSES, (count,), generator=self.generator)
        noise = self._random(count, *self.shape)
        return (noise + self.prototypes[labels]) / 2 * self.largest, labels

    def targets(self, labels: Tensor) -> Tensor:
        """Return labels in the form that the experiment states, for either framework."""
        return F.one_hot(labels, CLASSES).to(self.dtype) if self._one_hot else labels

    def compile(self, optimizer: Any) -> None:
        """Prepare the twin for a training."""
        kind = "categorical" if self._one_hot else "sparse_categorical"
        self.theirs.compile(optimizer, f"{kind}_crossentropy")

    @property
    def _one_hot(self) -> bool:
        return self.recipe.labels == "one_hot"

    def _random(self, *shape: int) -> Tensor:
        return torch.rand(*shape, generator=self.generator, dtype=self.dtype)


def recipe_of(experiment: str, network: dict[str, Any], changes: dict[str, Any]) -> Experiment:
    """Read an experiment, with another network and without dropout, in float32 on the CPU.

    Raises:
        InputError: a network that has no twin.
    """
    recipe = experiment_of(experiment)
    if not isinstance(recipe.model, CNN) or recipe.model.activation != "relu":
        raise InputError(f"{experiment}: only networks of the family `cnn`, with relu")
    still = {"block_dropout": [0.0] * len(recipe.model.filters), "dropout": 0.0}
    section = recipe.model.model_copy(update={**network, **still})
    return recipe.model_copy(update={"model": section, "precision": "fp32", **changes})


def input_shape(recipe: Experiment) -> list[int]:
    """Return channels, height and width of what the network sees."""
    channels, *size = DATASETS[recipe.dataset].shape
    return [1 if recipe.preprocess.greyscale else channels, *size]


def twin(recipe: Experiment, shape: list[int], probabilities: bool) -> Any:
    """Build a recipe's network in Keras, for images [N, H, W, C], with its L2 regularisers."""

    def learning() -> dict[str, Any]:
        on_biases = recipe.l2 and recipe.l2_on == "kernels_and_biases"
        return {
            "kernel_regularizer": keras.regularizers.L2(recipe.l2) if recipe.l2 else None,
            "bias_regularizer": keras.regularizers.L2(recipe.l2) if on_biases else None,
        }

    section: Any = recipe.model
    model = keras.Sequential([keras.Input((*shape[1:], shape[0]))])
    for block, (filters, pool) in enumerate(zip(section.filters, section.pools, strict=True)):
        for kernel, stride in zip(section.kernels_of(block), section.strides_of(block), strict=True):
            model.add(layers.Conv2D(filters, kernel, stride, padding="same", **learning()))
            if section.norm == "convolution":
                model.add(layers.BatchNormalization())
            model.add(layers.Activation("relu"))
        if section.norm == "block":
            model.add(layers.BatchNormalization())
        if pool > 1:
            model.add(layers.MaxPooling2D(pool))
    model.add(layers.Flatten())
    for units in section.dense:
        model.add(layers.Dense(units, activation="relu", **learning()))
    model.add(layers.Dense(CLASSES, activation="softmax" if probabilities else None, **learning()))
    return model


def weights_of(
    model: nn.Module, value: Callable[[Any], Any] = Tensor.detach, statistics: bool = True
) -> list[np.ndarray]:
    """Return our weights in the order and the layout of Keras' `get_weights`.

    Args:
        model: of the family `cnn`.
        value: what to return of each weight, such as its gradient.
        statistics: with the running means and variances; False: what Keras calls trainable.
    """
    found, channels, flattened = [], 0, True
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            channels = layer.out_channels
            found += [value(layer.weight).permute(2, 3, 1, 0), value(layer.bias)]
        elif isinstance(layer, nn.BatchNorm2d):
            found += [value(layer.weight), value(layer.bias)]
            found += [layer.running_mean, layer.running_var] if statistics else []
        elif isinstance(layer, nn.Linear):
            kernel = value(layer.weight)
            if flattened:  # Keras flattens [H, W, C], PyTorch [C, H, W]
                side = round((layer.in_features / channels) ** 0.5)
                kernel = kernel.unflatten(1, (channels, side, side)).permute(0, 2, 3, 1).flatten(1)
                flattened = False
            found += [kernel.T, value(layer.bias)]
    return [tensor.numpy().copy() for tensor in found]


def pixels_last(images: Tensor) -> np.ndarray:
    """Return images [N, C, H, W] as Keras has them, [N, H, W, C]."""
    return images.permute(0, 2, 3, 1).numpy().copy()


def relative(ours: Any, theirs: Any, scale: float | None = None) -> float:
    """Return the largest difference of two arrays, relative to the largest value of theirs, or to `scale`."""
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    return float(np.abs(ours - theirs).max() / (scale or max(np.abs(theirs).max(), 1e-300)))


def shake(model: nn.Module, generator: torch.Generator) -> None:
    """Draw random biases and batch normalisation parameters, so that each of them has an effect."""
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for scale in (layer.weight.data, layer.running_var):
                assert scale is not None
                scale.uniform_(0.5, 1.5, generator=generator)
            for shift in (layer.bias.data, layer.running_mean):
                assert shift is not None
                shift.normal_(0, 0.3, generator=generator)
        elif isinstance(layer, (nn.Conv2d, nn.Linear)):
            assert layer.bias is not None
            layer.bias.data.normal_(0, 0.1, generator=generator)


@contextmanager
def floats(dtype: str) -> Iterator[None]:
    """Make Keras compute in this dtype inside the context."""
    keras.config.set_floatx(dtype)
    keras.config.set_dtype_policy(dtype)
    try:
        yield
    finally:
        keras.config.set_floatx("float32")
        keras.config.set_dtype_policy("float32")
