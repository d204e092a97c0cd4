"""What the tests of training share: a short run on the digits, and how to compare networks."""

from collections.abc import Callable
from typing import Any

import torch
from repository import DEFAULTS
from torch import nn

from convlab.config import merge
from convlab.data.dataset import Prepared, Split
from convlab.models.build import build_model
from convlab.pipeline.ledger import Finished
from convlab.schema import Experiment, Sweep, Trial
from convlab.train.fit import fit
from convlab.train.history import History

# A network whose epoch on the digits takes a fraction of a second
MODEL = {
    "name": "cnn",
    "filters": [8, 16],
    "convolutions": 2,
    "kernels": [3, 3],
    "strides": [1, 1],
    "pools": [2, 2],
    "norm": "convolution",
    "activation": "relu",
    "block_dropout": [0.0, 0.0],
    "dense": [32],
    "dropout": 0.25,
}
# What is not named here is as in params.yaml
SMALL: dict[str, Any] = merge(
    DEFAULTS,
    {
        "seed": 1,
        "dataset": "digits",
        "split": {"method": "random", "validation": 250},
        "model": MODEL,
        "epochs": 2,
        "batch_size": 64,
        "lr": 0.002,
        "schedule": {"name": "constant"},
        "early_stopping": None,
        "precision": "fp32",
        "device": "cpu",
        "threads": 1,
    },
)
CPU = torch.device("cpu")
Recipe = Callable[..., Experiment]
Command = Callable[..., tuple[int, str, str]]
Make = Callable[..., Sweep]
Ended = list[tuple[Trial, Finished]]
# The points of a sweep
THREE = {"lr": 0.001}, {"lr": 0.002}, {"lr": 0.005}


def first(split: Split, count: int) -> Split:
    return Split(split.images[:count], split.labels[:count])


def run(
    recipe: Experiment,
    digits: Prepared,
    training: Split | None = None,
    validation: Split | None = None,
    on_step: Callable[[int], None] = lambda images: None,
    on_epoch: Callable[[History], None] = lambda history: None,
    device: torch.device = CPU,
) -> tuple[nn.Module, History]:
    model = build_model(recipe, [1, 8, 8], 10)
    history = fit(
        model,
        training or digits.train,
        validation or digits.validation,
        digits.statistics.transform(),
        recipe,
        device,
        on_step,
        on_epoch,
    )
    return model, history


def same(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def rows(ended: Ended) -> list[dict[str, Any]]:
    """Return of each training what is to be the same on a rerun."""
    told = [(trial.name, trial.overrides, one.status, one.reason, one.results) for trial, one in ended]
    keys = ("name", "overrides", "status", "reason")
    return [{**dict(zip(keys, own, strict=True)), **results} for *own, results in told]


def weights(ended: Ended) -> list[bytes]:
    return [finished.weights.read_bytes() for _, finished in ended if finished.weights]
