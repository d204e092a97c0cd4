"""Feature maps: the output of every convolution for an image."""

from collections.abc import Callable
from typing import Any, TypeVar

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from convlab.figures.samples import show_image
from convlab.figures.style import MAP

SHOWN = 12  # maps of each convolution
ROWS = 8  # convolutions: ResNet-18 has 17, more than a page
T = TypeVar("T")


def convolutions(model: nn.Module) -> dict[str, nn.Conv2d]:
    """List the convolutions from the input to the output, without the 1×1 ones of residual shortcuts."""
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d) and "shortcut" not in name.split(".")
    }


def watch(model: nn.Module, inputs: Tensor, measure: Callable[[Tensor], T]) -> dict[str, T]:
    """Run inputs [N, C, H, W] through the model; return `measure` of each convolution's output.

    It sees the output [N, C', H', W'] before a later layer overwrites it in place: keep nothing but a copy.
    """
    found: dict[str, T] = {}

    def keep(name: str) -> Any:
        return lambda module, inputs, output: found.__setitem__(name, measure(output))

    hooks = [layer.register_forward_hook(keep(name)) for name, layer in convolutions(model).items()]
    model.eval()
    with torch.inference_mode():
        model(inputs)
    for hook in hooks:
        hook.remove()
    return found


def activations(model: nn.Module, inputs: Tensor) -> dict[str, Tensor]:
    """Run inputs [N, C, H, W] through the model; return each convolution's output [N, C', H', W']."""
    return watch(model, inputs, torch.clone)


def spread(names: list[str], count: int) -> list[str]:
    """Return at most `count` of the names, evenly spaced, with the first and the last."""
    if len(names) <= count:
        return names
    return [names[round(step * (len(names) - 1) / (count - 1))] for step in range(count)]


def feature_maps(title: str, model: nn.Module, image: Tensor) -> Figure:
    """Draw an input [1, C, H, W] and, a row for each convolution, its first maps (each in its own range)."""
    layers = activations(model, image)
    shown = spread(list(layers), ROWS)
    figure, grid = plt.subplots(len(shown), SHOWN + 1, figsize=(12, 1.15 * len(shown) + 0.6), squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    show_image(grid[0, 0], image[0])
    grid[0, 0].set_title("input", fontsize=9, loc="left")
    for row, name in zip(grid, shown, strict=True):
        channels, height, width = layers[name].shape[1:]
        # Two titles: the layout makes room for half the width of one, and would push the next maps away
        row[1].set_title(name, fontsize=9, loc="left")
        row[3].set_title(f"{channels} maps of {height}×{width}", fontsize=9, loc="left")
        for axes, channel in zip(row[1:], layers[name][0], strict=False):
            axes.imshow(channel.numpy(), cmap=MAP, interpolation="nearest")
    which = "each convolution" if len(shown) == len(layers) else f"{len(shown)} of {len(layers)} convolutions"
    figure.suptitle(f"{title} · the first {SHOWN} maps of {which}, before normalisation", fontsize=11)
    return figure
