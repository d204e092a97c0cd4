"""Stochastic gradient descent with momentum."""

import numpy as np

from convlab.numpy_engine.layer import Layer


class SGD:
    """v ← m · v + g and w ← w − lr · v, where Nesterov's form takes g + m · v in place of v.

    g is ∂L/∂w + λ · w with the weight decay λ, and 2 · l2 · w more for the kernels of convolutions and linear
    layers, and with `l2_on_biases` for their biases: the gradient of a penalty l2 · Σ w². The rate is the
    caller's, step by step.
    """

    def __init__(
        self,
        layers: list[Layer],
        momentum: float,
        nesterov: bool,
        weight_decay: float,
        l2: float,
        l2_on_biases: bool,
    ):
        self.momentum, self.nesterov = momentum, nesterov
        self.parameters = [value for layer in layers for value in layer.parameters.values()]
        self.gradients = [value for layer in layers for value in layer.gradients.values()]
        self.decays = [
            weight_decay + (2 * l2 if value.ndim > 1 or (l2_on_biases and _has_kernel(layer)) else 0)
            for layer in layers
            for value in layer.parameters.values()
        ]
        self.velocities = list(map(np.zeros_like, self.parameters))

    def step(self, lr: float) -> None:
        """Update every parameter in place."""
        everything = zip(self.parameters, self.gradients, self.decays, self.velocities, strict=True)
        for weight, gradient, decay, velocity in everything:
            gradient += decay * weight
            velocity *= self.momentum
            velocity += gradient
            weight -= lr * (gradient + self.momentum * velocity if self.nesterov else velocity)


def _has_kernel(layer: Layer) -> bool:
    return any(value.ndim > 1 for value in layer.parameters.values())
