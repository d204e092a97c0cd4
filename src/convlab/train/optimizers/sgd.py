"""Stochastic gradient descent, with weight decay in the gradient or decoupled from it."""

from typing import Any

import torch
from torch import nn
from torch.optim import SGD, Optimizer

from convlab import schema
from convlab.schema import Experiment
from convlab.train.optimizers.rates import as_rate


def build_sgd(model: nn.Module, settings: schema.training.SGD, recipe: Experiment) -> Optimizer:
    """Return SGD as `settings` say; fused, so that one kernel updates all weights."""
    descent = DecoupledSGD if settings.decoupled else SGD
    return descent(
        model.parameters(),
        lr=as_rate(recipe.lr, next(model.parameters()).device),
        momentum=settings.momentum,
        nesterov=settings.nesterov,
        weight_decay=recipe.weight_decay,
        fused=True,
    )


class DecoupledSGD(SGD):
    """SGD whose weight decay is decoupled from the gradient (Loshchilov and Hutter, 2019).

    w ← w − lr · λ · w before each step, as in PyTorch's AdamW: momentum does not accumulate the decay.
    """

    def __init__(self, params: Any, weight_decay: float, **settings: Any):
        super().__init__(params, **settings)
        self.decay = weight_decay

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Shrink the weights that have a gradient, then update them."""
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            torch._foreach_mul_(weights, 1 - group["lr"] * self.decay)
        super().step()
