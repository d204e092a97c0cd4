"""Split a raw data set and measure its statistics, once, for training, evaluation and figures.

Images stay uint8 as published: greyscale and scaling lose nothing when the device applies them to each
batch (data/transform.py), take a quarter of the memory, and cost less than reading floats would.
"""

import torch
from torch import Tensor

from convlab.data.catalogue import DATASETS
from convlab.data.dataset import Prepared, Split, Statistics
from convlab.data.readers.raw import Raw
from convlab.data.transform import TINY, Transform
from convlab.schema import Experiment
from convlab.seeds import derive

STATISTICS_BATCH = 10_000  # images a pass: bounds the memory that float copies take


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
    scale = 1.0 if recipe.scaling == "none" else 1.0 / dataset.max_value
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
