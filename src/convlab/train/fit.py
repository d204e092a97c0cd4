"""The one training loop, for every model, every sweep, every device.

It knows nothing of DVC, MLflow or where files are: tensors and a recipe go in, the history comes out, and
it calls back at the end of every step and every epoch.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from convlab.data.augment.augmenter import Augmenter
from convlab.data.dataset import Split
from convlab.models.weights import kernels_of
from convlab.models.whitening import compute_whitening
from convlab.schema import Experiment
from convlab.seeds import derive_seed
from convlab.train.averages.registry import build_average
from convlab.train.best import BestWeights
from convlab.train.checkpoint import Checkpoints
from convlab.train.device import RandomState, Stopwatch, select_precision
from convlab.train.engine import build_engine
from convlab.train.history import Diverged, History, Sums
from convlab.train.inference import for_inference, logits_of, score
from convlab.train.loader import (
    Batch,
    channels_last,
    in_batches,
    place,
    prepared_at_once,
    resized,
    shuffled,
    size_at,
    to_device,
)
from convlab.train.penalty import penalty_of
from convlab.train.schedules.registry import build_schedule


def fit(
    model: nn.Module,
    train: Split,
    validation: Split,
    transform: nn.Module,
    recipe: Experiment,
    device: torch.device,
    on_step: Callable[[int], None] = lambda images: None,
    on_epoch: Callable[[History], None] = lambda history: None,
    checkpoints: Checkpoints | None = None,
) -> History:
    """Train `model` in place and leave it with the weights of the epoch that `recipe.keep` names.

    With `recipe.average` these are averages, and so is what is validated.

    Args:
        model: float32 [N, C, H, W] → logits [N, classes].
        train: what it learns from, uint8 [N, C, H, W] and int64 [N].
        validation: what the schedule, early stopping and the choice of the epoch see. No test data.
        transform: raw images → the model's input.
        recipe: the experiment's settings.
        device: where everything happens.
        on_step: called after each step with the number of images in it.
        on_epoch: called after each epoch with the history so far.
        checkpoints: where the training resumes from, on a CPU to the same last bit as if uninterrupted, and
            where it writes new ones.

    Raises:
        Diverged: a loss is NaN or infinite; says in which step, at which learning rate.
        Interrupted: the checkpoints were asked to end the training; one has been written.
    """
    train, validation = to_device(train, device), to_device(validation, device)
    place(model, device)
    transform.to(device)
    compute_whitening(model, train.images, transform)
    engine = build_engine(model, recipe, device)
    schedule = build_schedule(engine.optimizer, recipe)
    average = build_average(model, recipe.average)
    validated = for_inference(average.model, recipe)
    best = BestWeights(recipe.keep, recipe.early_stopping)
    mixing = any(step.name in ("mixup", "cutmix") for step in recipe.augment)
    one_hot = kernels_of(model)[-1].shape[0] if mixing or recipe.labels == "one_hot" else None
    steps = math.ceil(len(train.labels) / recipe.batch_size)
    at_once = prepared_at_once(recipe.batch_size, mixing, device)
    precision = select_precision(recipe.precision, device)
    history = History()
    parts: dict[str, Any] = {"model": model, "average": average, "optimizer": engine.optimizer}
    parts |= {"schedule": schedule, "best": best, "history": history}
    checkpoints = checkpoints or Checkpoints()  # without a folder: none
    first = checkpoints.restore(parts)

    for epoch in range(first, recipe.epochs + 1):
        stopwatch = Stopwatch(device)
        torch.manual_seed(derive_seed(recipe.seed, "dropout", epoch))
        model.train()
        sums = Sums(steps, device)
        augment = Augmenter(recipe.augment, recipe.seed, epoch, device)
        within = {"sums": sums, "augment": augment, "random": RandomState(device), "stopwatch": stopwatch}
        checkpoints.restore_within(epoch, within)
        size = size_at(recipe.resize, (epoch - 1) / recipe.epochs)
        chunks = shuffled(train, recipe.batch_size * at_once, recipe.seed, epoch, sums.steps // at_once)
        prepare = partial(prepared, one_hot=one_hot, augment=augment, transform=transform, size=size)
        batches = in_batches(map(prepare, chunks), recipe.batch_size)
        for step, (images, targets) in enumerate(batches, start=sums.steps):
            schedule.begin_step(epoch - 1 + step / steps)
            loss, hits, _ = engine.step(images, targets)
            average.update()
            sums.add(loss, hits, len(targets), schedule.lr)
            on_step(len(targets))
            if (step + 1) % at_once == 0 and checkpoints.due():
                sums.require_finite(epoch)  # the last good checkpoint stays
                checkpoints.save(epoch, step + 1, parts | within)
        sums.require_finite(epoch)
        train_loss, train_accuracy = sums.means()
        training_seconds, _ = stopwatch.stop()
        if recipe.iterations:
            history.iterations += sums.iterations(epoch, before=len(history.iterations))

        validation_logits = logits_of(validated, validation, transform, precision)
        validation_loss, validation_accuracy = score(validation_logits, validation.labels)
        if not math.isfinite(validation_loss):
            raise Diverged(
                f"after epoch {epoch} at lr {schedule.lr:g} the validation loss is {validation_loss:g}; "
                "try a lower lr, or precision: fp32"
            )
        penalty = penalty_of(average.model, recipe)
        monitored = validation_loss + (penalty if recipe.monitor == "penalised_loss" else 0.0)
        epoch_seconds, device_seconds = stopwatch.stop()
        history.records.append(
            {
                "epoch": epoch,
                "lr": schedule.lr,
                "train_loss": train_loss,
                "train_accuracy": train_accuracy,
                "validation_loss": validation_loss,
                "validation_accuracy": validation_accuracy,
                "penalty": penalty,
            }
        )
        history.epoch_seconds.append(epoch_seconds)
        history.training_seconds.append(training_seconds)
        history.device_seconds += [device_seconds] if device_seconds is not None else []
        schedule.end_epoch(monitored)
        stop = best.update(epoch, monitored, validation_accuracy, average.model)
        history.best_epoch = best.epoch
        on_epoch(history)
        if stop:
            break
        if checkpoints.due(epoch_ended=True):
            checkpoints.save(epoch + 1, 0, parts)

    model.load_state_dict(average.model.state_dict())  # itself, where nothing is averaged
    best.restore(model)
    return history


def prepared(
    batch: Batch, one_hot: int | None, augment: Augmenter, transform: nn.Module, size: int | None
) -> tuple[Tensor, Tensor]:
    """Return the network's input and its targets: of `one_hot` classes, or as they are."""
    images, labels, indices = batch
    targets = labels if one_hot is None else F.one_hot(labels, one_hot).float()
    if augment.settings:
        images, targets = augment(images, targets, indices)
    return channels_last(resized(transform(images), size)), targets
