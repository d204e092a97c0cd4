"""Split a raw data set and measure its statistics, once, for training, evaluation and figures.

Images stay uint8 as published: greyscale and scaling lose nothing when the device applies them to each
batch (data/transform.py), take a quarter of the memory, and cost less than reading floats would.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from convlab import files
from convlab.data.catalogue import DATASETS
from convlab.data.readers import Raw
from convlab.data.transform import TINY, Transform
from convlab.schema import SPLITS, Experiment
from convlab.seeds import derive

STATISTICS_BATCH = 10_000  # images a pass: bounds the memory that float copies take


class Split(NamedTuple):
    """Images uint8 [N, C, H, W] as published, and labels int64 [N]."""

    images: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Statistics:
    """How a uint8 batch becomes the network's input (see `Transform`), and what the classes are called.

    `mean` and `std` have one number per channel of the input; they come from the training split alone.
    """

    scale: float
    mean: list[float]
    std: list[float]
    greyscale: bool
    per_image: bool
    input_shape: list[int]
    classes: list[str]

    def transform(self) -> Transform:
        """Build the module that applies them."""
        return Transform(self.scale, self.mean, self.std, self.greyscale, self.per_image)


@dataclass(frozen=True)
class Prepared:
    """A data set ready for an experiment."""

    train: Split
    validation: Split
    test: Split
    statistics: Statistics


def prepare(raw: Raw, experiment: Experiment) -> Prepared:
    """Hold out the validation split, and measure the statistics of what is left."""
    images, labels = torch.from_numpy(raw.train_images.copy()), torch.from_numpy(raw.train_labels.copy())
    held_out = experiment.split.validation
    if experiment.split.method == "random":
        order = torch.randperm(len(images), generator=derive(experiment.seed, "split"))
        images, labels = images[order], labels[order]
    train = Split(images[:-held_out], labels[:-held_out])
    validation = Split(images[-held_out:], labels[-held_out:])
    test = Split(torch.from_numpy(raw.test_images.copy()), torch.from_numpy(raw.test_labels.copy()))
    return Prepared(train, validation, test, _measure(train.images, experiment))


def _measure(images: Tensor, experiment: Experiment) -> Statistics:
    dataset = DATASETS[experiment.dataset]
    recipe = experiment.preprocess
    channels = experiment.input_shape[0]
    scale = 1.0 if recipe.scaling == "none" else 1.0 / dataset.largest
    mean, std = [0.0] * channels, [1.0] * channels
    if recipe.scaling == "zscore_channel":
        plain = Transform(scale, mean, std, recipe.greyscale, per_image=False)
        # Sums in float64: 50,000 images of 1,024 pixels overflow what float32 adds exactly.
        total = torch.zeros(channels, dtype=torch.float64)
        squares = torch.zeros(channels, dtype=torch.float64)
        for batch in images.split(STATISTICS_BATCH):
            pixels = plain(batch).double()
            total += pixels.sum((0, 2, 3))
            squares += pixels.square().sum((0, 2, 3))
        count = len(images) * dataset.shape[1] * dataset.shape[2]
        mean = (total / count).tolist()
        deviation = (squares / count - (total / count).square()).clamp(min=0).sqrt()
        std = deviation.where(deviation > TINY, 1.0).tolist()  # a channel of one colour stays zero
    return Statistics(
        scale=scale,
        mean=mean,
        std=std,
        greyscale=recipe.greyscale,
        per_image=recipe.scaling == "zscore_image",
        input_shape=experiment.input_shape,
        classes=list(dataset.classes),
    )


def save(prepared: Prepared, folder: Path) -> None:
    """Write the splits as safetensors and the statistics as JSON into `folder`."""
    for name in SPLITS:
        split: Split = getattr(prepared, name)
        files.write_tensors(folder / f"{name}.safetensors", split._asdict())
    files.write_json(folder / "statistics.json", asdict(prepared.statistics))


def load_split(folder: Path, name: str) -> Split:
    """Read one split (`train`, `validation` or `test`) of the prepared data in `folder`."""
    return Split(**files.read_tensors(folder / f"{name}.safetensors"))


def load_statistics(folder: Path) -> Statistics:
    """Read the statistics of the prepared data in `folder`."""
    return Statistics(**files.read_json(folder / "statistics.json"))
