"""Keras 3 on TensorFlow, as its documentation teaches: floats in memory, `compile` and `fit`.

The network is R0's family (`cnn`) with batch normalisation after each convolution, layer by layer the one
that convlab builds.
"""

import os
from collections.abc import Callable
from typing import Any

os.environ["KERAS_BACKEND"] = "tensorflow"  # before the first import of keras

import keras
from keras import layers

from bench.speed.cases import Data
from convlab.data.catalogue import DATASETS
from convlab.errors import InputError
from convlab.schema import CNN, Experiment
from convlab.schema.training import Adam


class Ticking(keras.callbacks.Callback):
    """Ticks after each step."""

    def __init__(self, tick: Callable[[], None]):
        super().__init__()
        self.tick = tick

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Record that a step has ended."""
        self.tick()


def train(experiment: Experiment, data: Data, tick: Callable[[], None]) -> None:
    """Train epoch after epoch."""
    dataset, section, settings = DATASETS[experiment.dataset], experiment.model, experiment.optimizer
    if not (isinstance(section, CNN) and isinstance(settings, Adam)):
        raise InputError("keras: only networks of the family `cnn`, with adam")
    images = data.images.transpose(0, 2, 3, 1).astype("float32") / dataset.max_value
    model = network(section, images.shape[1:], len(dataset.classes))
    model.compile(
        optimizer=keras.optimizers.Adam(experiment.lr, *settings.betas, settings.eps),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.fit(
        images,
        data.labels,
        batch_size=experiment.batch_size,
        epochs=experiment.epochs,
        callbacks=[Ticking(tick)],
        verbose=0,
    )


def network(section: CNN, input_shape: tuple[int, ...], classes: int) -> keras.Model:
    """Build R0's network for images [N, H, W, C]."""
    model = keras.Sequential([keras.Input(input_shape)])
    for block, (filters, pool) in enumerate(zip(section.filters, section.pools, strict=True)):
        for kernel, stride in zip(section.kernels_of(block), section.strides_of(block), strict=True):
            model.add(layers.Conv2D(filters, kernel, stride, padding="same"))
            model.add(layers.BatchNormalization())
            model.add(layers.Activation(section.activation))
        model.add(layers.MaxPooling2D(pool))
    model.add(layers.Flatten())
    for units in section.dense:
        model.add(layers.Dense(units, activation=section.activation))
        model.add(layers.Dropout(section.dropout))
    model.add(layers.Dense(classes))
    return model
