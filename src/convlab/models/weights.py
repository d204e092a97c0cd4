"""What can be said of a network's weights."""

from torch import Tensor, nn


def kernels_of(model: nn.Module) -> list[Tensor]:
    """Return the weights that convolutions and linear layers learn: what an L2 penalty is meant for."""
    return [layer.weight for layer in _learning(model)]


def _learning(model: nn.Module) -> list[nn.Conv2d | nn.Linear]:
    layers = [layer for layer in model.modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]
    return [layer for layer in layers if layer.weight.requires_grad]
