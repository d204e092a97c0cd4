"""Steps of a training and its schedule, ours and Keras': gradients, Adam, plateau and early stopping."""

import os

os.environ["KERAS_BACKEND"] = "tensorflow"  # before the first import of keras

import math
import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

from bench.fidelity.keras_twins import EPSILON, Pair, pixels_last, relative, weights_of
from bench.speed.cases import WITH_ALL, experiment_of
from convlab.models.weights import penalised
from convlab.train.best import BestWeights
from convlab.train.optimizers.registry import build_optimizer
from convlab.train.penalty import l2_penalty
from convlab.train.schedules.registry import build_schedule

PENALTY = 2**-10  # about R0's largest, and the same number in float32, to which Keras rounds it
BATCH, STEPS = 16, 20
BETAS = 0.9, 0.999
LOSS_FALLS: dict[str, Callable[[float, random.Random], float]] = {
    "anything": lambda loss, chance: chance.random(),
    "equal ones": lambda loss, chance: chance.choice([0.5, 0.25, 0.125, 0.0625, 1.0]),
    # Near the 1e-4 by which a loss must improve, but never equal to it: Keras compares in float32
    "small steps": lambda loss, chance: loss + 3.7e-5 * chance.choice([-27, *range(-4, 4), 27]),
    "a slow fall": lambda loss, chance: loss * chance.choice([0.9, 1, 1.01, 0.99987, 0.99999]),
}


def gradients(name: str) -> tuple[float, float]:
    """Compare a step's penalised loss, relatively, and its gradients, each to the largest of its array.

    Arrays whose gradient is 0 but for rounding, as of biases before a normalisation, are compared with the
    largest of all arrays.
    """
    pair = Pair(name, seed=3, probabilities=True, l2=PENALTY)
    images, labels = pair.batch(BATCH)
    pair.compile(keras.optimizers.SGD(1.0))  # the gradient is what a step takes off
    before = [weight.numpy() for weight in pair.theirs.trainable_weights]
    their_loss = float(pair.theirs.train_on_batch(pixels_last(images), pair.targets(labels).numpy()))
    theirs = [start - end.numpy() for start, end in zip(before, pair.theirs.trainable_weights, strict=True)]
    our_loss = penalised_loss(pair, images, labels)
    our_loss.backward()
    ours = weights_of(pair.ours, lambda weight: weight.grad, statistics=False)
    scale = max(np.abs(array).max() for array in theirs)
    apart = [
        relative(our, their, scale if np.abs(their).max() < 1e-9 * scale else None)
        for our, their in zip(ours, theirs, strict=True)
    ]
    return abs(our_loss.item() / their_loss - 1), max(apart)


def steps(name: str, count: int = STEPS) -> dict[str, list[float]]:
    """Compare the weights after each of the first steps of Adam, our own way and two nearer to Keras'.

    Returns:
        for each way: √Σ(difference²) after each step, relative to the distance (√Σ²) that Keras' weights have
        moved from the initial ones.
    """
    pair = Pair(name, seed=3, probabilities=True, l2=PENALTY)
    pair.compile(keras.optimizers.Adam(pair.recipe.lr, *BETAS, EPSILON))
    start = weights_of(pair.ours, statistics=False)
    batches = [pair.batch(BATCH) for _ in range(count)]
    theirs = []
    for images, labels in batches:
        pair.theirs.train_on_batch(pixels_last(images), pair.targets(labels).numpy())
        theirs.append([weight.numpy() for weight in pair.theirs.trainable_weights])
    lengths = [distance(weights, start) for weights in theirs]
    found = {}
    for variant, nearer in (
        ("ε as it is", None),
        ("ε scaled", scale_eps),
        ("ε scaled, β rounded", round_betas),
    ):
        ours = our_steps(Pair(name, seed=3, l2=PENALTY), batches, nearer)
        apart = [distance(*sides) for sides in zip(ours, theirs, strict=True)]
        found[variant] = [difference / length for difference, length in zip(apart, lengths, strict=True)]
    return found


def our_steps(
    pair: Pair, batches: list[tuple[Tensor, Tensor]], nearer: Callable[[Optimizer, float, int], None] | None
) -> list[list[np.ndarray]]:
    """Return our weights after each step; `nearer` changes the optimiser before it."""
    optimizer = build_optimizer(pair.ours.train(), pair.recipe)
    weights = []
    for step, (images, labels) in enumerate(batches, start=1):
        penalised_loss(pair, images, labels).backward()
        if nearer:
            nearer(optimizer, pair.recipe.lr, step)
        optimizer.step()
        optimizer.zero_grad()
        weights.append(weights_of(pair.ours, statistics=False))
    return weights


def penalised_loss(pair: Pair, images: Tensor, labels: Tensor) -> Tensor:
    """Compute the loss that our step minimises."""
    loss = F.cross_entropy(pair.ours.train()(images), pair.targets(labels))
    return loss + l2_penalty(penalised(pair.ours, pair.recipe.l2_on), pair.recipe.l2)


def scale_eps(optimizer: Optimizer, lr: float, step: int) -> None:
    """Set the ε that is Keras' in PyTorch's terms."""
    optimizer.param_groups[0]["eps"] = EPSILON / math.sqrt(1 - BETAS[1] ** step)


def round_betas(optimizer: Optimizer, lr: float, step: int) -> None:
    """Set that ε, and the rate that follows from β rounded to float32 where the bias is corrected."""
    scale_eps(optimizer, lr, step)
    first, second = (float(np.float32(beta)) for beta in BETAS)
    theirs = math.sqrt(1 - second**step) / (1 - first**step)
    ours = math.sqrt(1 - BETAS[1] ** step) / (1 - BETAS[0] ** step)
    optimizer.param_groups[0]["lr"] = lr * theirs / ours


def distance(weights: list[np.ndarray], others: list[np.ndarray]) -> float:
    """Return √Σ (w − w')² over all arrays."""
    pairs = zip(weights, others, strict=True)
    return math.sqrt(sum(float(np.square(one - other).sum()) for one, other in pairs))


def schedules_that_differ(count: int) -> int:
    """Return for how many series of losses the rates, the last epoch or the kept epoch differ."""
    chance = random.Random(1)
    return sum(our_schedule(series) != keras_schedule(series) for series in map(_series, [chance] * count))


def our_schedule(losses: list[float]) -> tuple[list[float], int, int]:
    """Return the rate after each epoch, the last epoch and the kept one, with R0's plateau and patience."""
    recipe, model = experiment_of(WITH_ALL), nn.Linear(1, 1)
    schedule = build_schedule(build_optimizer(model, recipe), recipe)
    best = BestWeights(recipe.keep, recipe.early_stopping)
    rates: list[float] = []
    for epoch, loss in enumerate(losses, start=1):
        nn.init.constant_(model.bias, epoch)
        schedule.end_epoch(loss)
        rates.append(schedule.lr)
        if best.update(epoch, loss, 0.0, model):
            break
    best.restore(model)
    return rates, len(rates), round(model.bias.item())


def keras_schedule(losses: list[float]) -> tuple[list[float], int, int]:
    """Return the same for Keras' callbacks."""
    recipe: Any = experiment_of(WITH_ALL)
    kept = [0]
    model = SimpleNamespace(
        optimizer=SimpleNamespace(learning_rate=recipe.lr), stop_training=False, metrics=[]
    )
    model.get_weights = lambda: list(kept)
    model.set_weights = lambda weights: kept.__setitem__(0, weights[0])
    settings = recipe.schedule
    plateau = keras.callbacks.ReduceLROnPlateau(
        "val_loss", factor=settings.factor, patience=settings.patience
    )
    patience = recipe.early_stopping.patience
    stopping = keras.callbacks.EarlyStopping("val_loss", patience=patience, restore_best_weights=True)
    for callback in (plateau, stopping):
        callback._model = model
        callback.on_train_begin()
    rates: list[float] = []
    for epoch, loss in enumerate(losses, start=1):
        kept[0] = epoch
        for callback in (plateau, stopping):
            callback.on_epoch_end(epoch - 1, {"val_loss": loss})
        rates.append(float(model.optimizer.learning_rate))
        if model.stop_training:
            break
    stopping.on_train_end()
    return rates, len(rates), kept[0]


def _series(chance: random.Random, epochs: int = 40) -> list[float]:
    """Draw losses, epoch by epoch, as float32 holds them."""
    fall, loss = LOSS_FALLS[chance.choice(list(LOSS_FALLS))], 1.0
    losses = []
    for _ in range(epochs):
        loss = float(np.float32(fall(loss, chance)))
        losses.append(loss)
    return losses
