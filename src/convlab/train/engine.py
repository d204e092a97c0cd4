"""The engines: what takes a step of a training, PyTorch by automatic differentiation or NumPy by hand."""

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

from convlab.models import penalised
from convlab.numpy_engine.engine import NumpyEngine
from convlab.schema import Experiment
from convlab.train.device import autocast, select_precision
from convlab.train.loader import channels_last
from convlab.train.optim import build_optimizer, l2_penalty


class Engine(Protocol):
    """What the training loop asks of an engine."""

    @property
    def optimizer(self) -> Optimizer:
        """What the schedule steers, and checkpoints keep."""

    def step(self, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Make a step: forward, backward, update.

        Args:
            images: float32 [N, C, H, W], transformed.
            targets: int64 [N], or probabilities float32 [N, classes].

        Returns:
            The mean cross-entropy in nats, without the L2 penalty, and the logits, float32 [N, classes].
        """


class TorchEngine:
    """Takes the steps with PyTorch: in bfloat16 by autocast, or compiled, if the recipe says so."""

    def __init__(self, model: nn.Module, recipe: Experiment, device: torch.device):
        self.model, self.recipe, self.device = model, recipe, device
        self.precision = select_precision(recipe.precision, device)
        self.optimizer = build_optimizer(model, recipe)
        self.penalised = penalised(model, recipe.l2_on)
        # For one shape, and on a GPU as a graph of kernels that is launched at once
        self.compiled = (
            torch.compile(model, mode="reduce-overhead", dynamic=False) if recipe.compile else model
        )

    def step(self, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Make a step: forward, backward, update."""
        whole = len(images) == self.recipe.batch_size  # an epoch's last batch is not worth compiling for
        with autocast(self.precision, self.device):
            logits = (self.compiled if whole else self.model)(channels_last(images)).float()
        loss = F.cross_entropy(logits, targets, label_smoothing=self.recipe.label_smoothing)
        penalty = l2_penalty(self.penalised, self.recipe.l2) if self.recipe.l2 else 0.0
        (loss + penalty).backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss.detach(), logits.detach()


def build_engine(model: nn.Module, recipe: Experiment, device: torch.device) -> Engine:
    """Build the engine that a recipe names, for a model that is where it stays."""
    return NumpyEngine(model, recipe) if recipe.engine == "numpy" else TorchEngine(model, recipe, device)
