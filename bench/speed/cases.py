"""What is measured: the networks, the contenders that train them, and random images for both.

No torch: Keras' process must not carry it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from importlib.metadata import packages_distributions, version
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from convlab import files
from convlab.config import load_params
from convlab.data.catalogue import DATASETS
from convlab.errors import InputError
from convlab.schema import Experiment

BASELINE = "plain"  # every ratio is to this one
# Experiments of params.yaml, as tables and figures call their networks
NETWORKS = {
    "mnist_vgg": "R0 · 6 convolutions, MNIST",
    "cifar10_simplecnn": "R2 · SimpleCNN, CIFAR-10",
    "cifar10_resnet18": "R2 · ResNet-18, CIFAR-10",
    "mnist_2x2": "R3 · 2×2 kernels, MNIST",
    "fashion_preact": "R4 · pre-activation ResNet, Fashion-MNIST",
}
WITH_ALL = "mnist_vgg"  # where every contender is measured; elsewhere only the COMMON ones
# Uniform bytes as fractions of 255: what a z-score of random images subtracts and divides by
MEAN, STD = 0.5, 0.29


class Data(NamedTuple):
    """Images uint8 [N, C, H, W] and labels int64 [N]."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]


# Trains as the experiment says and calls the function after each step, which ends the training by raising.
Train = Callable[[Experiment, Data, Callable[[], None]], None]


@dataclass(frozen=True)
class Contender:
    """An implementation that is measured: the function `train` of a module here, with its settings.

    `packages` are what it needs beside convlab's own; `precision` is what its products are computed in.
    """

    label: str
    module: str
    packages: tuple[str, ...] = ()
    precision: str = "fp32"
    settings: dict[str, Any] = field(default_factory=dict)


def _ours(label: str, precision: str, **settings: Any) -> Contender:
    return Contender(label, "bench.speed.ours", (), precision, {"precision": precision, **settings})


CONTENDERS = {
    "plain": Contender("plain PyTorch loop, DataLoader", "bench.baselines.plain", ("torchvision",)),
    "lightning": Contender(
        "PyTorch Lightning", "bench.baselines.with_lightning", ("lightning", "torchvision")
    ),
    "keras": Contender("Keras 3 on TensorFlow", "bench.baselines.with_keras", ("keras", "tensorflow")),
    "fp32": _ours("convlab, fp32", "fp32"),
    "bf16": _ours("convlab, bf16", "bf16"),
    "fp32_returning": _ours("convlab, fp32, freed memory returned", "fp32", keep_memory=False),
    "bf16_returning": _ours("convlab, bf16, freed memory returned", "bf16", keep_memory=False),
}
COMMON = ("plain", "fp32", "bf16")


def trainer(contender: str) -> Train:
    """Return the training function of a contender."""
    return partial(import_module(CONTENDERS[contender].module).train, **CONTENDERS[contender].settings)


def contenders_of(network: str, device: str = "cpu") -> tuple[str, ...]:
    """Return the contenders for a network; other frameworks and the allocator are measured on a CPU alone."""
    return tuple(CONTENDERS) if network == WITH_ALL and device == "cpu" else COMMON


def versions() -> dict[str, str | None]:
    """Return the version of every package that a contender needs; None where it is not installed."""
    packages = sorted({package for contender in CONTENDERS.values() for package in contender.packages})
    distributions = packages_distributions()  # tensorflow may come as tensorflow-cpu
    return {name: version(distributions[name][0]) if find_spec(name) else None for name in packages}


def experiment_of(network: str, device: str = "cpu") -> Experiment:
    """Read an experiment from params.yaml, to be trained on a device.

    Raises:
        InputError: there is none of this name.
    """
    experiments = load_params(files.PARAMS).experiments
    if network not in experiments:
        raise InputError(f"networks: found {network!r}; allowed: {', '.join(experiments)}")
    return experiments[network].model_copy(update={"device": device})


def random_data(experiment: Experiment) -> Data:
    """Return as many random images as the experiment trains on, of its data set's shape."""
    dataset = DATASETS[experiment.dataset]
    images = dataset.train_images - experiment.split.validation
    random = np.random.default_rng(experiment.seed)
    return Data(
        random.integers(0, dataset.max_value, (images, *dataset.shape), np.uint8, endpoint=True),
        random.integers(0, len(dataset.classes), images),
    )
