"""Convolutions of any kernel, stride and padding: matrix products, over patches of the images."""

import itertools

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from convlab.numpy_engine.layer import Layer
from convlab.numpy_engine.parts import Parts, sum_rows, total


class Conv2d(Layer):
    """y[n, i, j, k] = b[k] + Σ w[k, u, v, c] · x[n, s·i + u − p, s·j + v − p, c], the sum over u, v and c.

    With the patch of x under each output pixel as a row of P, this is one product: Y = P · Wᵀ + b. So

        ∂L/∂W = ∂L/∂Yᵀ · P,     ∂L/∂b = Σ ∂L/∂Y over its rows,     ∂L/∂P = ∂L/∂Y · W,

    and ∂L/∂x at a pixel is the sum over all patches that contain it. Patches are kernel² times as large as x:
    they exist for a few images at a time, once in the forward pass and once in the backward pass.
    """

    def __init__(self, weight: np.ndarray, bias: np.ndarray, stride: int, padding: int, parts: Parts):
        """Take w, [K, kernel, kernel, C], and b, [K]."""
        super().__init__(weight=weight, bias=bias)
        self.filters, self.kernel = weight.shape[:2]
        self.matrix = weight.reshape(self.filters, -1)
        self.stride, self.padding, self.parts = stride, padding, parts

    def forward(self, images: np.ndarray, training: bool) -> np.ndarray:
        """Compute [N, H, W, C] → [N, H', W', K] with H' = ⌊(H + 2p − kernel) / s⌋ + 1."""
        if training:
            self.images = images
        height, width = (
            (side + 2 * self.padding - self.kernel) // self.stride + 1 for side in images.shape[1:3]
        )
        maps = np.empty((len(images), height, width, self.filters), images.dtype)

        def work(part: slice) -> None:
            rows = maps[part].reshape(-1, self.filters)
            np.matmul(self._patches(images[part]), self.matrix.T, out=rows)
            rows += self.parameters["bias"]

        self.parts.each(work, len(images), height * width * self.matrix.shape[1])
        return maps

    def backward(self, gradient: np.ndarray) -> np.ndarray:
        """Compute ∂L/∂x [N, H, W, C] from ∂L/∂y [N, H', W', K]."""
        images, (_, height, width, _) = self.images, gradient.shape
        backwards = np.empty_like(images)

        def work(part: slice) -> tuple[np.ndarray, np.ndarray]:
            rows = gradient[part].reshape(-1, self.filters)
            weight = rows.T @ self._patches(images[part])
            backwards[part] = self._images(rows @ self.matrix, height, width, images.shape[1:3])
            return weight, sum_rows(rows)

        weights, biases = zip(
            *self.parts.each(work, len(images), height * width * self.matrix.shape[1]), strict=True
        )
        self.gradients["weight"][...] = total(weights).reshape(self.parameters["weight"].shape)
        self.gradients["bias"][...] = total(biases)
        return backwards

    def _patches(self, images: np.ndarray) -> np.ndarray:
        """Lay out P, [N · H' · W', kernel · kernel · C]."""
        padded = pad(images, self.padding, self.padding)
        windows = sliding_window_view(padded, (self.kernel, self.kernel), axis=(1, 2))
        windows = windows[:, :: self.stride, :: self.stride].transpose(0, 1, 2, 4, 5, 3)
        return np.ascontiguousarray(windows).reshape(-1, self.matrix.shape[1])

    def _images(self, patches: np.ndarray, height: int, width: int, size: tuple[int, ...]) -> np.ndarray:
        """Add each row of ∂L/∂P to where `_patches` took it from, in images of this size."""
        kernel, step, padding = self.kernel, self.stride, self.padding
        by_pixel = patches.reshape(-1, height, width, kernel, kernel, patches.shape[1] // kernel**2)
        rows, columns = (side + 2 * padding for side in size)
        images = np.zeros((len(by_pixel), rows, columns, by_pixel.shape[-1]), patches.dtype)
        for u, v in itertools.product(range(kernel), repeat=2):
            where = (slice(u, u + step * height, step), slice(v, v + step * width, step))
            images[:, *where] += by_pixel[:, :, :, u, v]
        return images[:, padding : padding + size[0], padding : padding + size[1]]


def pad(images: np.ndarray, before: int, after: int) -> np.ndarray:
    """Put zeros around images [N, H, W, C]: `before` above and to the left, `after` on the other sides."""
    count, height, width, channels = images.shape
    padded = np.zeros((count, before + height + after, before + width + after, channels), images.dtype)
    padded[:, before : before + height, before : before + width] = images
    return padded
