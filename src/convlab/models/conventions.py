"""Defaults of frameworks that a network's section leaves open: PyTorch's and Keras'."""

from typing import assert_never

from torch import nn

from convlab.models.weights import kernels_of
from convlab.schema import Framework


def initialise(network: nn.Module, init: Framework) -> None:
    """Redraw the initial weights as a framework does; PyTorch's are those that its layers come with.

    Keras' kernels are uniform within ±√(6 / (fan_in + fan_out)) (Glorot and Bengio, 2010), where a fan is the
    channels on that side times the kernel's area; its biases are 0.
    """
    match init:
        case "torch":
            pass
        case "keras":
            for kernel in kernels_of(network):
                nn.init.xavier_uniform_(kernel)
            for layer in network.modules():
                if isinstance(layer, (nn.Conv2d, nn.Linear)) and layer.bias is not None:
                    nn.init.zeros_(layer.bias)
        case _:
            assert_never(init)


def set_batch_norm(network: nn.Module, batch_norm: Framework) -> None:
    """Set the momentum and ε of every batch normalisation as a framework has them.

    PyTorch's, 0.1 and 1e-5, are those that its layers come with. In Keras, momentum is the share of the
    running statistics that stays, 0.99, and in PyTorch the share that is new.
    """
    match batch_norm:
        case "torch":
            pass
        case "keras":
            for layer in network.modules():
                if isinstance(layer, nn.BatchNorm2d):
                    layer.momentum, layer.eps = 0.01, 1e-3
        case _:
            assert_never(batch_norm)
