"""3×3 convolutions with 16 products for four pixels instead of 36 (Winograd, 1980; Lavin and Gray, 2016)."""

import numpy as np

from convlab.numpy_engine.convolution import Conv2d, pad
from convlab.numpy_engine.parts import sum_rows, total

G = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])


class WinogradConv2d(Conv2d):
    """A convolution with a 3×3 kernel, stride 1 and padding 1, as F(2×2, 3×3).

    In one dimension, two outputs y of four inputs d and a filter g are y = Aᵀ · ((G · g) ⊙ (Bᵀ · d)):

             1  0 −1  0             1   0   0
        Bᵀ = 0  1  1  0        G =  ½   ½   ½         Aᵀ = 1  1  1  0
             0 −1  1  0             ½  −½   ½              0  1 −1 −1
             0  1  0 −1             0   0   1

    and in two dimensions Y = Aᵀ · M · A with M = Σ U ⊙ V over the channels, U = G · g · Gᵀ, V = Bᵀ · d · B:
    for each of the 16 elements a matrix product. All are linear in d and in g, so in the backward pass each
    is its own transpose: ∂M = A · ∂Y · Aᵀ, ∂V = ∂M · Uᵀ, ∂d = B · ∂V · Bᵀ (where tiles overlap, by two
    pixels, they add up), ∂U = ∂Mᵀ · V, ∂g = Gᵀ · ∂U · G.
    """

    def forward(self, images: np.ndarray, training: bool) -> np.ndarray:
        """Compute [N, H, W, C] → [N, H, W, K]."""
        count, height, width, _ = images.shape
        transformed = self._transformed()
        if training:
            self.images, self.transformed = images, transformed
        maps = np.empty((count, height, width, self.filters), images.dtype)

        def work(part: slice) -> None:
            products = _multiply(_tiles(images[part]), transformed.transpose(1, 2, 0))
            np.add(_outputs(products)[:, :height, :width], self.parameters["bias"], out=maps[part])

        self.parts.each(work, count, self._floats(images))
        return maps

    def backward(self, gradient: np.ndarray) -> np.ndarray:
        """Compute ∂L/∂x [N, H, W, C] from ∂L/∂y [N, H, W, K]."""
        images, (_, height, width, channels) = self.images, self.images.shape
        backwards = np.empty_like(images)

        def work(part: slice) -> tuple[np.ndarray, np.ndarray]:
            products = _products(gradient[part])
            weight = _flat(products).transpose(0, 2, 1) @ _flat(_tiles(images[part]))
            inputs = _inputs(_multiply(products, self.transformed.transpose(1, 0, 2)))
            backwards[part] = inputs[:, 1 : 1 + height, 1 : 1 + width]
            return weight, sum_rows(gradient[part])

        weights, biases = zip(*self.parts.each(work, len(images), self._floats(images)), strict=True)
        weight = np.kron(G, G).T.astype(images.dtype) @ total(weights).reshape(16, -1)
        self.gradients["weight"][...] = weight.reshape(3, 3, self.filters, channels).transpose(2, 0, 1, 3)
        self.gradients["bias"][...] = total(biases)
        return backwards

    def _transformed(self) -> np.ndarray:
        """Compute U of each filter, [K, 16, C]."""
        return np.kron(G, G).astype(self.matrix.dtype) @ self.matrix.reshape(self.filters, 9, -1)

    def _floats(self, images: np.ndarray) -> int:
        _, height, width, channels = images.shape
        return 16 * -(-height // 2) * -(-width // 2) * max(channels, self.filters)


def _flat(tiles: np.ndarray) -> np.ndarray:
    return tiles.reshape(16, -1, tiles.shape[-1])


def _multiply(tiles: np.ndarray, matrices: np.ndarray) -> np.ndarray:
    """Multiply tiles [4, 4, N, h, w, C] by [16, C, K], element by element of the 4×4."""
    return (_flat(tiles) @ matrices).reshape(*tiles.shape[:-1], -1)


def _tiles(images: np.ndarray) -> np.ndarray:
    """Compute V = Bᵀ · d · B of all tiles: [N, H, W, C] → [4, 4, N, ⌈H/2⌉, ⌈W/2⌉, C]."""
    count, height, width, channels = images.shape
    down, across = -(-height // 2), -(-width // 2)
    padded = np.zeros((count, 2 * down + 2, 2 * across + 2, channels), images.dtype)
    padded[:, 1 : 1 + height, 1 : 1 + width] = images
    half = np.empty((4, count, down, 2 * across + 2, channels), images.dtype)
    _apply_b_transposed(padded.swapaxes(0, 1), half.swapaxes(1, 2))
    tiles = np.empty((4, 4, count, down, across, channels), images.dtype)
    _apply_b_transposed(half.transpose(3, 0, 1, 2, 4), tiles.transpose(1, 4, 0, 2, 3, 5))
    return tiles


def _inputs(tiles: np.ndarray) -> np.ndarray:
    """Compute ∂d = B · ∂V · Bᵀ, added up: [4, 4, N, h, w, C] → [N, 2h + 2, 2w + 2, C]."""
    _, _, count, down, across, channels = tiles.shape
    half = np.empty((4, count, down, 2 * across + 2, channels), tiles.dtype)
    _apply_b(tiles.transpose(1, 4, 0, 2, 3, 5), half.transpose(3, 0, 1, 2, 4))
    inputs = np.empty((count, 2 * down + 2, 2 * across + 2, channels), tiles.dtype)
    _apply_b(half.swapaxes(1, 2), inputs.swapaxes(0, 1))
    return inputs


def _outputs(products: np.ndarray) -> np.ndarray:
    """Compute Y = Aᵀ · M · A: [4, 4, N, h, w, K] → [N, 2h, 2w, K]."""
    _, _, count, down, across, filters = products.shape
    half = np.empty((4, count, down, 2 * across, filters), products.dtype)
    _apply_a_transposed(products.transpose(1, 4, 0, 2, 3, 5), half.transpose(3, 0, 1, 2, 4))
    outputs = np.empty((count, 2 * down, 2 * across, filters), products.dtype)
    _apply_a_transposed(half.swapaxes(1, 2), outputs.swapaxes(0, 1))
    return outputs


def _products(gradient: np.ndarray) -> np.ndarray:
    """Compute ∂M = A · ∂Y · Aᵀ: [N, H, W, K] → [4, 4, N, ⌈H/2⌉, ⌈W/2⌉, K]."""
    count, height, width, filters = gradient.shape
    down, across = -(-height // 2), -(-width // 2)
    if height % 2 or width % 2:
        gradient = pad(gradient, 0, 1)[:, : 2 * down, : 2 * across]
    half = np.empty((4, count, down, 2 * across, filters), gradient.dtype)
    _apply_a(gradient.swapaxes(0, 1), half.swapaxes(1, 2))
    products = np.empty((4, 4, count, down, across, filters), gradient.dtype)
    _apply_a(half.transpose(3, 0, 1, 2, 4), products.transpose(1, 4, 0, 2, 3, 5))
    return products


# In one dimension, the first axis; t tiles of four pixels, one every two pixels


def _apply_b_transposed(pixels: np.ndarray, tiles: np.ndarray) -> None:
    """[2t + 2, …] → [4, t, …]."""
    d = [pixels[i : i + 2 * tiles.shape[1] : 2] for i in range(4)]
    np.subtract(d[0], d[2], out=tiles[0])
    np.add(d[1], d[2], out=tiles[1])
    np.subtract(d[2], d[1], out=tiles[2])
    np.subtract(d[1], d[3], out=tiles[3])


def _apply_b(tiles: np.ndarray, pixels: np.ndarray) -> None:
    """[4, t, …] → [2t + 2, …]: rows 0 and 1 of a tile, then 2 and 3, which the next tile has as 0 and 1."""
    even, odd = pixels[0::2], pixels[1::2]
    even[-1], odd[-1] = 0, 0
    even[:-1] = tiles[0]
    np.subtract(tiles[1], tiles[2], out=odd[:-1])
    odd[:-1] += tiles[3]
    even[1:] -= tiles[0]
    even[1:] += tiles[1]
    even[1:] += tiles[2]
    odd[1:] -= tiles[3]


def _apply_a_transposed(products: np.ndarray, pixels: np.ndarray) -> None:
    """[4, t, …] → [2t, …]."""
    even, odd = pixels[0::2], pixels[1::2]
    np.add(products[0], products[1], out=even)
    even += products[2]
    np.subtract(products[1], products[2], out=odd)
    odd -= products[3]


def _apply_a(pixels: np.ndarray, products: np.ndarray) -> None:
    """[2t, …] → [4, t, …]."""
    even, odd = pixels[0::2], pixels[1::2]
    products[0] = even
    np.add(even, odd, out=products[1])
    np.subtract(even, odd, out=products[2])
    np.negative(odd, out=products[3])
