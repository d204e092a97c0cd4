"""The L2 penalty of a network's weights."""

from typing import Any

from torch import Tensor, nn

from convlab.models.weights import penalised
from convlab.schema import Experiment


def l2_penalty(weights: list[Any], strength: float) -> Tensor:
    """Compute λ · Σ w² over all weights, the penalty as Keras' `l2(λ)` adds it to the loss (R0's form)."""
    return strength * sum(weight.square().sum() for weight in weights)


def penalty_of(model: nn.Module, recipe: Experiment) -> float:
    """Return the L2 penalty of a model's weights, 0.0 without L2. It waits for the device: once an epoch."""
    if not recipe.l2:
        return 0.0
    weights = [weight.detach().double() for weight in penalised(model, recipe.l2_on)]
    return l2_penalty(weights, recipe.l2).item()
