"""Grad-CAM (Selvaraju et al., 2017): where in an image the evidence for a class lies."""

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn

from convlab.figures.samples import Predictions, show_image
from convlab.figures.style import RIGHT, WRONG, fit

HEAT = "inferno"
CELL = 1.45  # inches per image
SHRINKING = (nn.MaxPool2d, nn.AdaptiveAvgPool2d, nn.Flatten, nn.Dropout)


def split_after_last_conv(model: nn.Sequential) -> tuple[nn.Sequential, nn.Sequential]:
    """Split a network after its last convolution: the block that holds it, with the normalisation and
    activation that follow, and the rest."""
    parts = list(model)
    holds = [any(isinstance(layer, nn.Conv2d) for layer in part.modules()) for part in parts]
    cut = len(parts) - holds[::-1].index(True)
    while cut < len(parts) and not isinstance(parts[cut], SHRINKING):
        cut += 1
    return nn.Sequential(*parts[:cut]), nn.Sequential(*parts[cut:])


def gradcam(model: nn.Sequential, inputs: Tensor, classes: Tensor) -> Tensor:
    """Compute the heat maps, float32 [N, h, w] from 0 to 1, of inputs [N, C, H, W] for classes int64 [N].

    ReLU(Σ αₖ Aₖ) over the last maps A, where αₖ is the mean gradient of the class's logit with respect to
    Aₖ; divided by each image's own maximum. All 0 where there is no evidence for the class.
    """
    model.eval()
    features, head = split_after_last_conv(model)
    with torch.no_grad():
        maps = features(inputs)
    maps.requires_grad_()
    logits = head(maps)
    # Each image's logit depends on its own maps alone, so the sum has the gradients of all of them.
    (gradient,) = torch.autograd.grad(logits.gather(1, classes[:, None]).sum(), maps)
    heat = (gradient.mean((2, 3), keepdim=True) * maps.detach()).sum(1).relu()
    return heat / heat.amax((1, 2), keepdim=True).clamp(min=1e-12)


def gradcam_figure(
    name: str, model: nn.Sequential, inputs: Tensor, predictions: Predictions, right: Tensor, wrong: Tensor
) -> Figure:
    """Draw the inputs at `right` and `wrong`, with heat for the predicted and, if wrong, the true class."""
    positions = torch.cat([right, wrong])
    images = inputs[positions]
    predicted = gradcam(model, images, predictions.predicted[positions])
    true = gradcam(model, images, predictions.labels[positions])
    figure, grid = plt.subplots(3, len(positions), figsize=(CELL * len(positions) + 0.4, 5.1), squeeze=False)
    for column, position in zip(grid.T, range(len(positions)), strict=True):
        is_wrong = position >= len(right)
        show_image(column[0], images[position])
        heading = predictions.heading(int(positions[position]))
        heading = heading if "\n" in heading else heading.replace(" (", "\n(")
        column[0].set_title(heading, fontsize=9, color=WRONG if is_wrong else RIGHT, pad=3)
        fit(column[0].title, 0.88 * CELL)
        _heat(column[1], images[position], predicted[position])
        if is_wrong:
            _heat(column[2], images[position], true[position])
        for axes in column:
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
    for axes, label in zip(
        grid[:, 0], ("input", "for the\npredicted class", "for the\ntrue class"), strict=True
    ):
        axes.set_ylabel(label, rotation=0, ha="right", va="center")
    figure.suptitle(
        f"{name}: Grad-CAM, where the last feature maps speak for a class (bright), each in its own range\n"
        "true class → predicted class (probability) · the first right images, the most confident wrong ones",
        fontsize=10,
    )
    return figure


def _heat(axes: Axes, image: Tensor, heat: Tensor) -> None:
    show_image(axes, image)
    size = (image.shape[1], image.shape[2])
    smooth = F.interpolate(heat[None, None], size, mode="bilinear", align_corners=False)[0, 0]
    axes.imshow(smooth.numpy(), cmap=HEAT, vmin=0, vmax=1, alpha=0.6, interpolation="nearest")
