"""The plain PyTorch loop, as the tutorials of PyTorch and torchvision teach it.

A Dataset that returns one transformed image at a time, a shuffling DataLoader, a default optimiser, and
the loss read after each step. On a CPU without worker processes: with two on two cores it was no faster.
"""

import os
from collections.abc import Callable
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from bench.speed.cases import MEAN, STD, Data
from convlab.data.catalogue import DATASETS
from convlab.errors import InputError
from convlab.models.build import build_model
from convlab.schema import Experiment
from convlab.schema.training import Adam, Crop, Flip

WORKERS = 8
PADDING_MODES = {"zero": "constant", "nearest": "edge", "reflect": "reflect"}


class Images(Dataset[tuple[Tensor, int]]):
    """torchvision's MNIST and CIFAR10 once they are loaded: an image of Pillow goes through `transform`."""

    def __init__(self, data: Data, transform: Callable[[Image.Image], Tensor]):
        grey = data.images.shape[1] == 1
        self.images = data.images[:, 0] if grey else data.images.transpose(0, 2, 3, 1)
        self.labels = data.labels.tolist()
        self.transform = transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.images[index])), self.labels[index]


def train(experiment: Experiment, data: Data, tick: Callable[[], None]) -> None:
    """Train epoch after epoch."""
    model = model_of(experiment).to(experiment.device)
    loader, optimizer = loader_of(experiment, data), optimizer_of(experiment, model)
    for _ in range(experiment.epochs):
        train_one_epoch(model, loader, optimizer, criterion_of(experiment), tick)


def train_one_epoch(
    model: nn.Module,
    loader: DataLoader[tuple[Tensor, int]],
    optimizer: torch.optim.Optimizer,
    criterion: nn.Module,
    tick: Callable[[], None],
) -> float:
    """Train one epoch; return the mean of the steps' losses."""
    model.train()
    device = next(model.parameters()).device
    running_loss = 0.0
    for images, labels in loader:
        optimizer.zero_grad()
        loss = criterion(model(images.to(device)), labels.to(device))
        loss.backward()
        optimizer.step()
        running_loss += loss.item()
        tick()
    return running_loss / len(loader)


def model_of(experiment: Experiment) -> nn.Module:
    """Build convlab's network, with the same initial weights as ours."""
    return build_model(experiment, experiment.input_shape, len(DATASETS[experiment.dataset].classes))


def loader_of(experiment: Experiment, data: Data) -> DataLoader[tuple[Tensor, int]]:
    """Return the batches of an epoch, shuffled; beside a GPU, loaded by processes of their own."""
    images, size = Images(data, transform_of(experiment)), experiment.batch_size
    if experiment.device != "cuda":  # two processes were no faster on two cores
        return DataLoader(images, batch_size=size, shuffle=True)
    count = min(WORKERS, os.cpu_count() or 1)
    return DataLoader(
        images, batch_size=size, shuffle=True, num_workers=count, pin_memory=True, persistent_workers=True
    )


def transform_of(experiment: Experiment) -> transforms.Compose:
    """Return the experiment's augmentation and preprocessing with torchvision's transforms.

    Raises:
        InputError: a step that no transform of an image can do (or one that this suite does not measure).
    """
    steps: list[Any] = []
    for step in experiment.augment:
        match step:
            case Crop():
                size, mode = experiment.input_shape[1:], PADDING_MODES[step.border]
                steps.append(transforms.RandomCrop(size, padding=step.padding, padding_mode=mode))
            case Flip():
                steps.append(transforms.RandomHorizontalFlip())
            case _:
                raise InputError(f"augment: found {step.name}; the plain loop here has crop and flip only")
    if experiment.preprocess.greyscale:
        steps.append(transforms.Grayscale())
    steps.append(transforms.ToTensor())
    if experiment.preprocess.scaling == "zscore_channel":
        channels = experiment.input_shape[0]
        steps.append(transforms.Normalize([MEAN] * channels, [STD] * channels))
    return transforms.Compose(steps)


def criterion_of(experiment: Experiment) -> nn.Module:
    """Return the loss."""
    return nn.CrossEntropyLoss(label_smoothing=experiment.label_smoothing)


def optimizer_of(experiment: Experiment, model: nn.Module) -> torch.optim.Optimizer:
    """Build the experiment's optimiser, with PyTorch's own choice of implementation.

    Raises:
        InputError: PyTorch has none of this name for all weights.
    """
    settings, lr, decay = experiment.optimizer, experiment.lr, experiment.weight_decay
    if settings.name == "sgd":
        return torch.optim.SGD(
            model.parameters(), lr, settings.momentum, nesterov=settings.nesterov, weight_decay=decay
        )
    if not isinstance(settings, Adam):
        raise InputError(f"optimizer: found {settings.name}; the plain loop here has adam, adamw and sgd")
    family = torch.optim.AdamW if settings.name == "adamw" else torch.optim.Adam
    betas = (settings.betas[0], settings.betas[1])
    return family(model.parameters(), lr, betas, settings.eps, weight_decay=decay)
