"""Samples before and after augmentation."""

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from convlab.figures.style import fit

CELL = 1.25  # inches per image


def augmentation_grid(
    title: str,
    images: Tensor,
    targets: Tensor,
    versions: list[tuple[Tensor, Tensor]],
    classes: list[str],
    max_value: int,
) -> Figure:
    """Draw a row per image: the original, then its augmented versions.

    Args:
        title: of the figure.
        images: the originals, uint8 [N, C, H, W].
        targets: the share of each class in their labels, float32 [N, classes].
        versions: images, float32 [N, C, H, W] on the scale of the originals, with their targets.
        classes: their names.
        max_value: the brightest value that a pixel can have.
    """
    mixed = any(not torch.allclose(shares, targets) for _, shares in versions)
    columns = 1 + len(versions)
    size = (CELL * columns, (1.48 if mixed else 1.32) * len(images) + 0.6)
    figure, grid = plt.subplots(len(images), columns, figsize=size, squeeze=False)
    for row, index in zip(grid, range(len(images)), strict=True):
        _show(row[0], images[index], max_value, label_of(targets[index], classes))
        for axes, (changed, shares) in zip(row[1:], versions, strict=True):
            _show(axes, changed[index], max_value, label_of(shares[index], classes) if mixed else "")
    note = " · above each its label" if mixed else ""
    figure.suptitle(
        f"{title}: original images (left) and augmented ones, as the training sees them{note}", fontsize=11
    )
    return figure


def label_of(target: Tensor, classes: list[str]) -> str:
    """Return a label as text: `cat`, or of a mixture `0.7 cat + 0.3 dog`, the larger share first."""
    shares, order = target.sort(descending=True, stable=True)
    parts = [(float(share), classes[int(index)]) for share, index in zip(shares, order, strict=True)]
    mixed = [f"{share:.1f} {name}" for share, name in parts if share >= 0.05]
    return " + ".join(mixed) if len(mixed) > 1 else parts[0][1]


def _show(axes: Axes, image: Tensor, max_value: int, label: str) -> None:
    """Show an image [C, H, W] on the data set's scale: stretched to its own, a blend would look brighter."""
    pixels = (image.float() / max_value).clamp(0, 1).permute(1, 2, 0)
    axes.imshow(pixels.numpy(), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set_title(label.replace(" + ", "\n+ "), fontsize=8, pad=2)
    fit(axes.title, 0.96 * CELL)
    axes.axis("off")
