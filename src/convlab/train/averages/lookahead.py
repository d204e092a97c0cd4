"""Lookahead (Zhang et al., 2019)."""

import copy
from typing import Any

import torch
from torch import nn

from convlab.schema.training import Lookahead
from convlab.train.averages.plain import PlainWeights, floats_of


class SlowWeights(PlainWeights):
    """Every k steps slow ← slow + α · (fast − slow), then fast ← slow.

    The slow weights are what is kept. The optimiser's moments stay as they are, and so do the statistics of
    batch normalisation, of which the slow model takes the latest each time.
    """

    def __init__(self, trained: nn.Module, section: Lookahead):
        super().__init__(copy.deepcopy(trained))
        self.trained, self.every, self.alpha = trained, section.every, section.alpha
        self.slow, self.fast = (floats_of(model.parameters()) for model in (self.model, trained))
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
