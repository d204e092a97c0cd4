"""Are the gradients of the NumPy engine correct?

    python bench/engines/gradients.py        a few seconds; the first table of bench/engines.md

Each layer against central differences of its own forward pass in float64, and against PyTorch's automatic
differentiation in float32, for a random loss Σ r · y.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from convlab.models.preact import PreActBlock
from convlab.numpy_engine.engine import layer_of
from convlab.numpy_engine.layer import Layer
from convlab.numpy_engine.network import layers_of
from convlab.numpy_engine.parts import Parts
from convlab.train.loader import place

STEP = 1e-6  # of the differences; float64 has 16 digits
ENTRIES = 30  # entries of each array that are perturbed, at random

CASES: list[tuple[str, Callable[[], nn.Module], tuple[int, ...]]] = [
    ("convolution 3×3 (stem)", lambda: nn.Conv2d(1, 32, 3, 1, 1), (4, 1, 28, 28)),
    ("convolution 3×3, stride 2", lambda: nn.Conv2d(32, 64, 3, 2, 1), (4, 32, 28, 28)),
    ("convolution 1×1, stride 2", lambda: nn.Conv2d(32, 64, 1, 2), (4, 32, 28, 28)),
    ("convolution 5×5, stride 3, padding 1", lambda: nn.Conv2d(8, 16, 5, 3, 1), (4, 8, 15, 12)),
    ("convolution 3×3 (Winograd), even", lambda: nn.Conv2d(64, 64, 3, 1, 1), (4, 64, 14, 14)),
    ("convolution 3×3 (Winograd), odd", lambda: nn.Conv2d(128, 128, 3, 1, 1), (4, 128, 7, 7)),
    ("batch normalisation", lambda: nn.BatchNorm2d(32), (8, 32, 14, 14)),
    ("SiLU", nn.SiLU, (8, 32, 14, 14)),
    ("global average pooling", lambda: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), (8, 128, 4, 4)),
    ("linear", lambda: nn.Linear(128, 10), (50, 128)),
    ("residual block, stride 2", lambda: PreActBlock(32, 64, 2, nn.SiLU), (8, 32, 14, 14)),
    ("residual block, identity", lambda: PreActBlock(64, 64, 1, nn.SiLU), (8, 64, 7, 7)),
]


def against_differences(make: Callable[[], nn.Module], shape: tuple[int, ...], seed: int) -> float:
    """Compare a layer with central differences of itself in float64; return the largest relative error."""
    chance = np.random.default_rng(seed)
    _, layer = build(make, torch.float64, seed)
    images = rows(chance.standard_normal(shape))
    weights = chance.standard_normal(layer.forward(images, True).shape)
    arrays, gradients = [images], [layer.backward(weights)]
    for own in layers_of(layer):
        arrays += own.parameters.values()
        gradients += own.gradients.values()
    entries = [chance.choice(one.size, min(ENTRIES, one.size), replace=False) for one in arrays]
    found = [np.array(one.reshape(-1)[chosen]) for one, chosen in zip(gradients, entries, strict=True)]
    expected = [
        np.array([_slope(layer, images, weights, one.reshape(-1), entry) for entry in chosen])
        for one, chosen in zip(arrays, entries, strict=True)
    ]
    return largest_error(found, expected)


def against_autograd(make: Callable[[], nn.Module], shape: tuple[int, ...], seed: int) -> float:
    """Compare outputs and gradients with PyTorch's in float32; return the largest relative error."""
    module, layer = build(make, torch.float32, seed)
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(shape, generator=generator).requires_grad_()
    expected = module(images)
    weights = torch.randn(expected.shape, generator=generator)
    expected.backward(weights)
    found = [layer.forward(rows(images.detach().numpy()), True), layer.backward(rows(weights.numpy()))]
    found += [gradient for own in layers_of(layer) for gradient in own.gradients.values()]
    theirs = [expected.detach(), images.grad, *(parameter.grad for parameter in module.parameters())]
    return largest_error(found[1:] + found[:1], [rows(one.numpy()) for one in theirs[1:] + theirs[:1]])


def largest_error(found: list[np.ndarray], expected: list[np.ndarray]) -> float:
    """Return the largest error of pairs of arrays, found and expected, of which the first are ∂L/∂x.

    It is the root mean square of the difference over that of what is expected, or over that of ∂L/∂x if this
    is larger: a bias adds up a number from each pixel, and they may cancel. Before a normalisation they do,
    as it changes no loss; its gradient is rounding alone, and has to be next to nothing in both.
    """
    scale = _size(expected[0])
    errors = [
        _size(one - other) / max(_size(other), scale)
        for one, other in zip(found, expected, strict=True)
        if max(_size(one), _size(other)) > 1e-3 * scale
    ]
    return max(errors)


def build(make: Callable[[], nn.Module], dtype: torch.dtype, seed: int) -> tuple[nn.Module, Layer]:
    """Build PyTorch's module, with non-trivial normalisations, and the NumPy layer on the same memory."""
    torch.manual_seed(seed)
    module = make().to(dtype)
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.normal_(norm.bias)
    place(module, torch.device("cpu"))
    return module, layer_of(module, Parts(torch.get_num_threads()))


def rows(array: np.ndarray) -> np.ndarray:
    """Turn [N, C, H, W] into [N, H, W, C]; arrays of fewer dimensions stay as they are."""
    return np.ascontiguousarray(array.transpose(0, 2, 3, 1)) if array.ndim == 4 else array


def _size(array: np.ndarray) -> float:
    return float(np.sqrt(np.square(array, dtype=np.float64).mean()))


def _slope(layer: Layer, images: np.ndarray, weights: np.ndarray, values: np.ndarray, entry: int) -> float:
    """Return the central difference of L in one entry of a layer's input or parameters (a view of them)."""
    before = values[entry]
    losses = []
    for step in (STEP, -STEP):
        values[entry] = before + step
        losses.append((weights * layer.forward(images, True)).sum())
    values[entry] = before
    return (losses[0] - losses[1]) / (2 * STEP)


def check_all() -> list[dict[str, Any]]:
    """Check every layer; one row each."""
    return [
        {
            "layer": name,
            "input": shape,
            "differences": against_differences(make, shape, seed=1),
            "autograd": against_autograd(make, shape, seed=1),
        }
        for name, make, shape in CASES
    ]


def table(found: list[dict[str, Any]]) -> str:
    """Make the table of errors."""
    lines = ["| layer | x | central differences, float64 | PyTorch, float32 |", "| --- | --- | ---: | ---: |"]
    for row in found:
        size = " × ".join(map(str, row["input"]))
        lines.append(f"| {row['layer']} | {size} | {row['differences']:.0e} | {row['autograd']:.0e} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(table(check_all()), end="")
