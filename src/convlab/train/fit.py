"""THE training loop: for every model, every sweep, every device.

It knows nothing of DVC, MLflow or where files are: tensors and a recipe go in, the history comes out, and
it calls back at the end of every step and every epoch.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from convlab.data.augment import augmenter
from convlab.data.preprocess import Split
from convlab.models import kernels_of
from convlab.models.whitening import compute_whitening
from convlab.schema import Experiment
from convlab.seeds import derive_seed
from convlab.train.average import build_average
from convlab.train.device import Stopwatch, autocast, select_precision
from convlab.train.inference import logits_of, score
from convlab.train.loader import channels_last, place, resized, shuffled, size_at, to_device
from convlab.train.optim import BestWeights, Schedule, build_optimizer, l2_penalty

Record = dict[str, float]  # one row of the learning curves


class Diverged(ArithmeticError):
    """The loss is no longer a finite number."""


@dataclass
class History:
    """What happened, epoch by epoch.

    `records` are the learning curves; `iterations`, if the recipe asks for them, the same of every step: loss
    (as trained on, without the L2 penalty), accuracy and learning rate. `epoch_seconds` and `device_seconds`
    cover training and validation.
    """

    records: list[Record] = field(default_factory=list)
    iterations: list[Record] = field(default_factory=list)
    epoch_seconds: list[float] = field(default_factory=list)
    training_seconds: list[float] = field(default_factory=list)
    device_seconds: list[float] = field(default_factory=list)
    best_epoch: int = 0

    def add_iterations(self, epoch: int, rates: list[float], steps: Tensor) -> None:
        """Add an epoch's steps: their learning rates, and [steps, 2] with loss and accuracy of each."""
        for lr, (loss, accuracy) in zip(rates, steps.tolist(), strict=True):
            self.iterations.append(
                {
                    "iteration": len(self.iterations) + 1,
                    "epoch": epoch,
                    "lr": lr,
                    "loss": loss,
                    "accuracy": accuracy,
                }
            )


def fit(
    model: nn.Module,
    train: Split,
    validation: Split,
    transform: nn.Module,
    recipe: Experiment,
    device: torch.device,
    on_step: Callable[[int], None] = lambda images: None,
    on_epoch: Callable[[History], None] = lambda history: None,
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

    Raises:
        Diverged: a loss is NaN or infinite; says at which epoch and learning rate.
    """
    train, validation = to_device(train, device), to_device(validation, device)
    place(model, device)
    transform.to(device)
    compute_whitening(model, train.images, transform)
    kernels = kernels_of(model)
    classes = kernels[-1].shape[0]  # the output layer's
    optimizer = build_optimizer(model, recipe)
    schedule = Schedule(optimizer, recipe)
    average = build_average(model, recipe.average)
    best = BestWeights(recipe.keep, recipe.early_stopping)
    mixing = any(step.name in ("mixup", "cutmix") for step in recipe.augment)
    one_hot = mixing or recipe.labels == "one_hot"
    steps = math.ceil(len(train.labels) / recipe.batch_size)
    precision = select_precision(recipe.precision, device)
    history = History()

    for epoch in range(1, recipe.epochs + 1):
        stopwatch = Stopwatch(device)
        torch.manual_seed(derive_seed(recipe.seed, "dropout", epoch))
        model.train()
        # Sums stay on the device until the epoch's end: reading one each step would stall a GPU.
        loss_sum = torch.zeros((), device=device)
        correct = torch.zeros((), device=device, dtype=torch.long)
        each_step = torch.zeros(steps, 2, device=device)
        rates = []
        augment = augmenter(recipe.augment, recipe.seed, epoch, device)
        size = size_at(recipe.resize, (epoch - 1) / recipe.epochs)
        batches = shuffled(train, recipe.batch_size, recipe.seed, epoch)
        for step, (images, labels, indices) in enumerate(batches):
            schedule.begin_step(epoch - 1 + step / steps)
            targets = F.one_hot(labels, classes).float() if one_hot else labels
            if recipe.augment:
                images, targets = augment(images, targets, indices)
            with autocast(precision, device):
                logits = model(channels_last(resized(transform(images), size))).float()
            loss = F.cross_entropy(logits, targets, label_smoothing=recipe.label_smoothing)
            penalty = l2_penalty(kernels, recipe.l2) if recipe.l2 else 0.0
            (loss + penalty).backward()
            optimizer.step()
            optimizer.zero_grad()
            average.update()
            hits = (logits.detach().argmax(1) == (targets.argmax(1) if mixing else labels)).sum()
            loss_sum += loss.detach() * len(labels)
            correct += hits
            if recipe.iterations:
                each_step[step, 0], each_step[step, 1] = loss.detach(), hits / len(labels)
                rates.append(schedule.lr)
            on_step(len(labels))
        train_loss = loss_sum.item() / len(train.labels)
        training_seconds, _ = stopwatch.stop()
        if recipe.iterations:
            history.add_iterations(epoch, rates, each_step)

        validation_logits = logits_of(average.model, validation, transform, precision)
        validation_loss, validation_accuracy = score(validation_logits, validation.labels)
        if not math.isfinite(train_loss + validation_loss):
            raise Diverged(
                f"in epoch {epoch} at lr {schedule.lr:g} the training loss is {train_loss:g} and the "
                f"validation loss {validation_loss:g}; try a lower lr, or precision: fp32"
            )
        epoch_seconds, device_seconds = stopwatch.stop()
        history.records.append(
            {
                "epoch": epoch,
                "lr": schedule.lr,
                "train_loss": train_loss,
                "train_accuracy": correct.item() / len(train.labels),
                "validation_loss": validation_loss,
                "validation_accuracy": validation_accuracy,
            }
        )
        history.epoch_seconds.append(epoch_seconds)
        history.training_seconds.append(training_seconds)
        history.device_seconds += [device_seconds] if device_seconds is not None else []
        schedule.end_epoch(validation_loss)
        stop = best.update(epoch, validation_loss, validation_accuracy, average.model)
        history.best_epoch = best.epoch
        on_epoch(history)
        if stop:
            break

    model.load_state_dict(average.model.state_dict())  # itself, where nothing is averaged
    best.restore(model)
    return history
