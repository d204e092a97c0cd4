"""Optimisers, learning rate schedules and early stopping, from their sections of params.yaml."""

import math
from typing import Any

from torch import Tensor, nn
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, ReduceLROnPlateau

from convlab.schema import Constant, EarlyStopping, Experiment, Plateau


def build_optimizer(model: nn.Module, recipe: Experiment) -> Optimizer:
    """Build the optimiser; fused, so that one kernel updates all weights."""
    settings = recipe.optimizer
    return Adam(
        model.parameters(),
        lr=recipe.lr,
        betas=(settings.betas[0], settings.betas[1]),
        eps=settings.eps,
        fused=True,
    )


class Schedule:
    """The learning rate of the next epoch, from the validation losses so far."""

    def __init__(self, optimizer: Optimizer, settings: Plateau | Constant):
        self.optimizer = optimizer
        self.scheduler: LRScheduler
        if isinstance(settings, Plateau):
            # `patience` as Keras counts it, and R0 with it: the n-th epoch without a better loss reduces the
            # rate (PyTorch's allows n and reduces at the next). Better means by 1e-4, also as in Keras.
            self.scheduler = ReduceLROnPlateau(
                optimizer,
                factor=settings.factor,
                patience=settings.patience - 1,
                threshold=1e-4,
                threshold_mode="abs",
            )
        else:
            self.scheduler = LambdaLR(optimizer, lambda epoch: 1.0)

    @property
    def lr(self) -> float:
        """The learning rate now in force."""
        return self.optimizer.param_groups[0]["lr"]

    def step(self, validation_loss: float) -> None:
        """End an epoch."""
        if isinstance(self.scheduler, ReduceLROnPlateau):
            self.scheduler.step(validation_loss)
        else:
            self.scheduler.step()


class BestWeights:
    """Keep the weights of the epoch with the lowest validation loss; say when to stop waiting."""

    def __init__(self, settings: EarlyStopping | None):
        self.patience = settings.patience if settings else math.inf
        self.loss, self.epoch = math.inf, 0
        self.state: dict[str, Tensor] = {}

    def update(self, epoch: int, validation_loss: float, model: nn.Module) -> bool:
        """Take note of an epoch; True when training should stop."""
        if validation_loss < self.loss:
            self.loss, self.epoch = validation_loss, epoch
            self.state = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
        return epoch - self.epoch >= self.patience

    def restore(self, model: nn.Module) -> None:
        """Put the best weights back."""
        model.load_state_dict(self.state)


def l2_penalty(kernels: list[Any], strength: float) -> Tensor:
    """Compute λ · Σ w² over all kernels, the penalty as Keras' `l2(λ)` adds it to the loss (R0's form)."""
    return strength * sum(kernel.square().sum() for kernel in kernels)
