"""A network's weights: those that an L2 penalty covers, their norms, their hash."""

import hashlib
from typing import assert_never

from torch import Tensor, nn

from convlab.schema import L2On


def kernels_of(model: nn.Module) -> list[Tensor]:
    """Return the weights that convolutions and linear layers learn: what an L2 penalty is meant for."""
    return [layer.weight for layer in _learning(model)]


def penalised(model: nn.Module, l2_on: L2On) -> list[Tensor]:
    """Return the weights that the L2 penalty covers: the kernels, or the biases of the same layers too."""
    match l2_on:
        case "kernels":
            return kernels_of(model)
        case "kernels_and_biases":
            biases = [layer.bias for layer in _learning(model) if layer.bias is not None]
            return kernels_of(model) + biases
        case _:
            assert_never(l2_on)


def kernel_norm(model: nn.Module) -> float:
    """Return √Σ w² over the kernels of convolutions and linear layers."""
    return sum(kernel.detach().double().square().sum().item() for kernel in kernels_of(model)) ** 0.5


def weight_norm(model: nn.Module) -> float:
    """Return Σ ‖w‖₂ over every array of Keras' `model.get_weights()`, each array's own norm.

    That is: kernels, biases, and of batch normalisation γ, β, moving means and moving variances. It is our
    interpretation of the weight norm that R0 prints, 371.71 without a penalty and 113.44 with λ = 1e-3, and
    does not define.
    """
    arrays = [tensor for tensor in model.state_dict().values() if tensor.is_floating_point()]
    return sum(array.double().norm().item() for array in arrays)


def hash_weights(model: nn.Module) -> str:
    """Return a hash of a model's weights and statistics, equal where all of their bits are.

    It identifies the training that scores belong to, whatever precision either was computed in.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def _learning(model: nn.Module) -> list[nn.Conv2d | nn.Linear]:
    layers = [layer for layer in model.modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]
    return [layer for layer in layers if layer.weight.requires_grad]
