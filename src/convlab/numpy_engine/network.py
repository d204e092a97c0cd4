"""R4's pre-activation residual network (after He et al., "Identity Mappings", 2016)."""

from collections.abc import Iterable

import numpy as np

from convlab.numpy_engine.layer import Layer


class Sequential(Layer):
    """One layer after the other; backwards in the opposite order."""

    def __init__(self, layers: Iterable[Layer]):
        super().__init__()
        self.layers = list(layers)

    def forward(self, images: np.ndarray, training: bool) -> np.ndarray:
        """Compute y from x."""
        for layer in self.layers:
            images = layer.forward(images, training)
        return images

    def backward(self, gradient: np.ndarray) -> np.ndarray:
        """Compute ∂L/∂x from ∂L/∂y."""
        for layer in reversed(self.layers):
            gradient = layer.backward(gradient)
        return gradient


class Residual(Layer):
    """y = s(x) + f(x), s the identity or a 1×1 convolution; so ∂L/∂x is the sum of the gradients of both."""

    def __init__(self, inside: Sequential, shortcut: Layer | None):
        super().__init__()
        self.inside, self.shortcut = inside, shortcut

    def forward(self, images: np.ndarray, training: bool) -> np.ndarray:
        """Compute y from x."""
        shortcut = self.shortcut.forward(images, training) if self.shortcut else images
        maps = self.inside.forward(images, training)
        maps += shortcut
        return maps

    def backward(self, gradient: np.ndarray) -> np.ndarray:
        """Compute ∂L/∂x from ∂L/∂y."""
        backwards = self.inside.backward(gradient)
        backwards += self.shortcut.backward(gradient) if self.shortcut else gradient
        return backwards


def layers_of(layer: Layer) -> list[Layer]:
    """List the layers with parameters, in the order of the forward pass."""
    match layer:
        case Sequential():
            return [found for own in layer.layers for found in layers_of(own)]
        case Residual():
            return layers_of(layer.inside) + (layers_of(layer.shortcut) if layer.shortcut else [])
    return [layer] if layer.parameters else []
