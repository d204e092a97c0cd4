"""The exponential moving average of the weights."""

import copy
from typing import Any

import torch
from torch import nn

from convlab.schema.training import EMA
from convlab.train.averages.plain import PlainWeights, floats_of


class ExponentialMovingAverage(PlainWeights):
    """average ← decay · average + (1 − decay) · weights after each step, from the initial weights on.

    Of the statistics of batch normalisation too: they belong to the averaged weights, not to the last ones.
    """

    def __init__(self, trained: nn.Module, section: EMA):
        super().__init__(copy.deepcopy(trained))
        self.decay = section.decay
        self.averages, self.weights = (
            floats_of([*model.parameters(), *model.buffers()]) for model in (self.model, trained)
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
