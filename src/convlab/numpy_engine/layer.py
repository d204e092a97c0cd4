"""What every layer has: parameters and their gradients, a forward and a backward pass."""

import numpy as np


class Layer:
    """A layer y = f(x; parameters).

    `parameters` are float arrays, which are updated in place; `gradients`, under the same names, are those of
    the loss L, after `backward`.
    """

    def __init__(self, **parameters: np.ndarray):
        self.parameters = parameters
        self.gradients = {name: np.zeros_like(value) for name, value in parameters.items()}

    def forward(self, images: np.ndarray, training: bool) -> np.ndarray:
        """Compute y from x; in training, keep what `backward` needs."""
        raise NotImplementedError

    def backward(self, gradient: np.ndarray) -> np.ndarray:
        """Compute ∂L/∂x from ∂L/∂y, by the chain rule, and on the way the gradients of the parameters."""
        raise NotImplementedError
