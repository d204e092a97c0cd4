"""SiLU, or swish: a sigmoid-weighted linear unit (Elfwing et al., 2018)."""

import numpy as np

from convlab.numpy_engine.layer import Layer
from convlab.numpy_engine.parts import Parts


class SiLU(Layer):
    """y = x · σ(x) with σ(x) = 1 / (1 + e⁻ˣ). As σ' = σ · (1 − σ), ∂y/∂x = σ + x · σ' = σ + y · (1 − σ)."""

    def __init__(self, parts: Parts):
        super().__init__()
        self.parts = parts

    def forward(self, images: np.ndarray, training: bool) -> np.ndarray:
        """Compute y, of the same shape as x."""
        sigmoid, maps = np.empty_like(images), np.empty_like(images)

        def work(part: slice) -> None:
            own = sigmoid[part]
            np.multiply(images[part], 0.5, out=own)
            np.tanh(own, out=own)  # σ(x) = (1 + tanh(x / 2)) / 2, which cannot overflow
            own += 1
            own *= 0.5
            np.multiply(images[part], own, out=maps[part])

        self.parts.each(work, len(images), images[0].size)
        if training:
            self.sigmoid, self.maps = sigmoid, maps
        return maps

    def backward(self, gradient: np.ndarray) -> np.ndarray:
        """Compute ∂L/∂x from ∂L/∂y."""
        backwards = np.empty_like(gradient)

        def work(part: slice) -> None:
            slope = backwards[part]
            np.subtract(1, self.sigmoid[part], out=slope)
            slope *= self.maps[part]
            slope += self.sigmoid[part]
            slope *= gradient[part]

        self.parts.each(work, len(gradient), gradient[0].size)
        return backwards
