"""The activation function of a network, with its derivative, beside ReLU (as R4 shows SiLU)."""

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from torch import nn

from convlab.figures.style import PALETTE

REACH = 6.0  # from −6 to 6: beyond it the curves are straight
POINTS = 601


def activation_curve(title: str, name: str, function: nn.Module) -> Figure:
    """Draw an activation function and its derivative, by automatic differentiation, beside those of ReLU."""
    figure, panels = plt.subplots(1, 2, figsize=(10, 3.6))
    for label, layer, color, line in (
        (name, function, PALETTE[0], "-"),
        ("relu", nn.ReLU(), "#888888", "--"),
    ):
        x = torch.linspace(-REACH, REACH, POINTS, requires_grad=True)
        y = layer(x)
        (slope,) = torch.autograd.grad(y.sum(), x)
        for axes, values in zip(panels, (y, slope), strict=True):
            axes.plot(x.detach(), values.detach(), color=color, linestyle=line, label=label)
    for axes, heading in zip(panels, ("value", "derivative"), strict=True):
        axes.set(title=heading, xlabel="input")
        axes.axhline(0, color="#888888", linewidth=0.6)
    panels[0].legend(loc="upper left")
    figure.suptitle(f"{title}: its activation function")
    return figure
