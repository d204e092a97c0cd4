"""Batch normalisation (Ioffe and Szegedy, 2015)."""

from collections.abc import Callable
from typing import Any

import numpy as np

from convlab.numpy_engine.layer import Layer
from convlab.numpy_engine.parts import Parts, sum_rows, total


class BatchNorm2d(Layer):
    """y = γ · x̂ + β with x̂ = (x − μ) / √(σ² + ε), for each channel over the M pixels of a batch.

    ∂L/∂β = Σ ∂L/∂y, ∂L/∂γ = Σ ∂L/∂y · x̂ over the pixels. As μ and σ² depend on x, too, two terms come off:

        ∂L/∂x = γ / √(σ² + ε) · (∂L/∂y − ∂L/∂β / M − x̂ · ∂L/∂γ / M).

    In inference μ and σ² are running averages over the batches seen in training.
    """

    def __init__(
        self,
        weight: np.ndarray,
        bias: np.ndarray,
        running_mean: np.ndarray,
        running_var: np.ndarray,
        eps: float,
        momentum: float,
        parts: Parts,
    ):
        """Take γ, β and the running statistics, each [C]; the latter are updated in place.

        `momentum` is the share of the newest batch in them, as PyTorch counts it.
        """
        super().__init__(weight=weight, bias=bias)
        self.running_mean, self.running_var, self.parts = running_mean, running_var, parts
        self.eps, self.momentum = eps, momentum

    def forward(self, images: np.ndarray, training: bool) -> np.ndarray:
        """Normalise [N, H, W, C]."""
        mean, variance = self._statistics(images) if training else (self.running_mean, self.running_var)
        inverse = 1 / np.sqrt(variance + images.dtype.type(self.eps))
        if training:
            self.images, self.mean, self.inverse = images, mean, inverse
        scale = self.parameters["weight"] * inverse
        offset = self.parameters["bias"] - scale * mean
        maps = np.empty_like(images)

        def work(part: slice) -> None:
            np.multiply(_rows(images[part]), _row(scale, images), out=_rows(maps[part]))
            _rows(maps[part])[...] += _row(offset, images)

        self._each(work, images)
        return maps

    def backward(self, gradient: np.ndarray) -> np.ndarray:
        """Compute ∂L/∂x [N, H, W, C] from ∂L/∂y."""
        images, inverse, pixels = self.images, self.inverse, self.images[..., 0].size

        def sums(part: slice) -> tuple[np.ndarray, np.ndarray]:
            products = self._centred(images[part], self.mean)
            products *= gradient[part]
            return sum_rows(products), sum_rows(gradient[part])

        products, own = zip(*self._each(sums, images), strict=True)
        self.gradients["weight"][...] = total(products) * inverse
        self.gradients["bias"][...] = total(own)
        # ∂L/∂x = scale · ∂L/∂y − slope · x − offset, with the terms that all pixels share combined
        scale = self.parameters["weight"] * inverse
        slope = scale * inverse * self.gradients["weight"] / pixels
        offset = scale * self.gradients["bias"] / pixels - slope * self.mean
        backwards = np.empty_like(images)

        def work(part: slice) -> None:
            rows = _rows(images[part]) * _row(slope, images)
            rows += _row(offset, images)
            np.multiply(_rows(gradient[part]), _row(scale, images), out=_rows(backwards[part]))
            _rows(backwards[part])[...] -= rows

        self._each(work, images)
        return backwards

    def _statistics(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Compute μ and σ² of a batch, and move the running ones towards them."""
        pixels = images[..., 0].size
        mean = total(self._each(lambda part: sum_rows(images[part]), images)) / pixels

        def squares(part: slice) -> np.ndarray:
            centred = self._centred(images[part], mean)
            centred *= centred
            return sum_rows(centred)

        variance = total(self._each(squares, images)) / pixels
        self.running_mean += self.momentum * (mean - self.running_mean)
        unbiased = variance * pixels / (pixels - 1)
        self.running_var += self.momentum * (unbiased - self.running_var)
        return mean, variance

    def _centred(self, images: np.ndarray, mean: np.ndarray) -> np.ndarray:
        return (_rows(images) - _row(mean, images)).reshape(images.shape)

    def _each(self, work: Callable[[slice], Any], images: np.ndarray) -> list[Any]:
        return self.parts.each(work, len(images), images[0].size)


def _rows(images: np.ndarray) -> np.ndarray:
    """View [N, H, W, C] as [N · H, W · C]: on long rows NumPy's loops are fast."""
    return images.reshape(-1, images.shape[2] * images.shape[3])


def _row(channels: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Repeat values of channels, [C], for each pixel of such a row, [W · C]."""
    return np.tile(channels, images.shape[2])
