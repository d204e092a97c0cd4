"""Feature maps: what every convolution makes of one image."""

from typing import Any

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from convlab.figures.style import MAP

SHOWN = 12  # maps of each convolution


def activations(model: nn.Module, image: Tensor) -> dict[str, Tensor]:
    """Run one input [1, C, H, W] through the model; give each convolution's output [C', H', W']."""
    found: dict[str, Tensor] = {}

    def keep(name: str) -> Any:
        return lambda module, inputs, output: found.__setitem__(name, output[0].clone())

    convolutions = [(name, module) for name, module in model.named_modules() if isinstance(module, nn.Conv2d)]
    hooks = [module.register_forward_hook(keep(name)) for name, module in convolutions]
    model.eval()
    with torch.no_grad():
        model(image)
    for hook in hooks:
        hook.remove()
    return found


def feature_maps(title: str, model: nn.Module, image: Tensor) -> Figure:
    """Draw the input and, a row for each convolution, its first maps (each scaled to its own range)."""
    layers = activations(model, image)
    figure, grid = plt.subplots(len(layers), SHOWN + 1, figsize=(12, 1.15 * len(layers) + 0.6), squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    shown = image[0].permute(1, 2, 0)
    low, high = shown.min(), shown.max()
    grid[0, 0].imshow(((shown - low) / (high - low)).numpy(), cmap="gray", interpolation="nearest")
    grid[0, 0].set_title("input", fontsize=9, loc="left")
    for row, (name, maps) in zip(grid, layers.items(), strict=True):
        channels, height, width = maps.shape
        row[1].set_title(f"{name}: {channels} maps of {height}×{width}", fontsize=9, loc="left")
        for axes, channel in zip(row[1:], maps, strict=False):
            axes.imshow(channel.numpy(), cmap=MAP, interpolation="nearest")
    figure.suptitle(
        f"{title} · the first {SHOWN} maps of each convolution, before normalisation", fontsize=11
    )
    return figure
