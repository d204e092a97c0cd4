"""No average: the weights as they are trained. What the averages share."""

from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn


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


def floats_of(tensors: Iterable[Tensor]) -> list[Tensor]:
    """List what has a mean (not a count of batches), detached from the gradient."""
    return [tensor.detach() for tensor in tensors if tensor.is_floating_point()]
