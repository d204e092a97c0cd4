"""Averages of the weights over the steps: what is validated and kept in place of the weights as trained."""

import copy
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from convlab.schema.training import EMA, Lookahead


class PlainWeights:
    """No average. `model`: what is to be validated and kept; here the model that is trained."""

    def __init__(self, model: nn.Module):
        self.model = model

    def update(self) -> None:
        """Count a step."""

    def state_dict(self) -> dict[str, Any]:
        """Return the whole state, for a checkpoint; here the model itself is all there is."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a checkpoint."""


class ExponentialMovingAverage(PlainWeights):
    """average ← decay · average + (1 − decay) · weights after each step, from the initial weights on.

    Of the statistics of batch normalisation too: they belong to the averaged weights, not to the last ones.
    """

    def __init__(self, trained: nn.Module, decay: float):
        super().__init__(copy.deepcopy(trained))
        self.decay = decay
        self.averages, self.weights = (
            _floats([*model.parameters(), *model.buffers()]) for model in (self.model, trained)
        )

    def update(self) -> None:
        """Move the averages towards the weights; all in one call, as one call each would stall a GPU."""
        torch._foreach_lerp_(self.averages, self.weights, 1 - self.decay)

    def state_dict(self) -> dict[str, Any]:
        """Return the averages, for a checkpoint."""
        return {"model": self.model.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a checkpoint."""
        self.model.load_state_dict(state["model"])


class SlowWeights(PlainWeights):
    """Lookahead (Zhang et al., 2019): every k steps slow ← slow + α · (fast − slow), then fast ← slow.

    The slow weights are what is kept. The optimiser's moments stay as they are, and so do the statistics of
    batch normalisation, of which the slow model takes the latest each time.
    """

    def __init__(self, trained: nn.Module, every: int, alpha: float):
        super().__init__(copy.deepcopy(trained))
        self.trained, self.every, self.alpha = trained, every, alpha
        self.slow, self.fast = (_floats(model.parameters()) for model in (self.model, trained))
        self.steps = 0

    def update(self) -> None:
        """Count a step; after every k-th, update the slow weights and return to them."""
        self.steps += 1
        if self.steps % self.every:
            return
        torch._foreach_lerp_(self.slow, self.fast, self.alpha)
        torch._foreach_copy_(self.fast, self.slow)
        for ours, theirs in zip(self.model.buffers(), self.trained.buffers(), strict=True):
            ours.copy_(theirs)

    def state_dict(self) -> dict[str, Any]:
        """Return the slow weights and the number of steps, for a checkpoint."""
        return {"model": self.model.state_dict(), "steps": self.steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a checkpoint."""
        self.model.load_state_dict(state["model"])
        self.steps = state["steps"]


def build_average(model: nn.Module, settings: EMA | Lookahead | None) -> PlainWeights:
    """Build the average of a model's weights; call its `update` after each step of the optimiser."""
    match settings:
        case EMA():
            return ExponentialMovingAverage(model, settings.decay)
        case Lookahead():
            return SlowWeights(model, settings.every, settings.alpha)
    return PlainWeights(model)


def _floats(tensors: Iterable[Tensor]) -> list[Tensor]:
    """List what has a mean (not a count of batches), detached from the gradient."""
    return [tensor.detach() for tensor in tensors if tensor.is_floating_point()]
