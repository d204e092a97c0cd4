"""A network that outputs what happens inside it, by a graph without automatic differentiation.

ONNX has no gradients, and Grad-CAM needs one: that of each logit with respect to the maps of the last
convolution, averaged over a map. The mean of a gradient over a map is the derivative as the whole map rises
by a constant. A pooling passes such a rise on unchanged, so what follows the pooling decides: dense layers
and activations, whose chain rule is written out here.
"""

from collections.abc import Sequence
from math import pi, sqrt
from typing import NamedTuple

import torch
from torch import Tensor, nn

from convlab.errors import InputError
from convlab.figures.features import convolutions
from convlab.figures.gradcam import split_after_last_conv
from convlab.models.speedrun import ScaledLinear
from convlab.networks.trained import TrainedNetwork

POOLINGS = (nn.MaxPool2d, nn.AdaptiveAvgPool2d)


class View(NamedTuple):
    """What `Inside` returns for a batch: logits [N, classes]; Grad-CAM for every class, not yet divided by
    its maximum, [N, classes, h, w]; the output of each convolution, before normalisation, [N, C, H, W]."""

    logits: Tensor
    heat: Tensor
    maps: tuple[Tensor, ...]


class Inside(nn.Module):
    """uint8 [N, C, H, W], of the range of the data set → `View`.

    Raises:
        InputError: a layer after the last convolution is none of those whose derivative is written out.
    """

    def __init__(self, trained: TrainedNetwork):
        super().__init__()
        self.transform = trained.statistics.transform()
        self.features, head = split_after_last_conv(trained.model)
        layers = [layer for layer in head if not isinstance(layer, nn.Dropout)]
        flat = next((place for place, layer in enumerate(layers) if isinstance(layer, nn.Flatten)), -1)
        pools, dense = layers[:flat], layers[flat + 1 :]
        known = (nn.Linear, nn.ReLU, nn.Tanh, nn.SiLU, nn.GELU)
        if (
            flat < 0
            or not all(isinstance(layer, POOLINGS) for layer in pools)
            or not all(isinstance(layer, known) for layer in dense)
        ):
            kinds = ", ".join(type(layer).__name__ for layer in layers)
            raise InputError(f"{trained.result}: Grad-CAM is not implemented for a head of {kinds}")
        self.pools, self.dense = nn.Sequential(*pools), nn.Sequential(*dense)
        self.layers = list(convolutions(trained.model))  # by the network's own names, as `View.maps` has them

    def forward(self, images: Tensor) -> View:
        """Run a batch of raw images through the network."""
        found: dict[int, Tensor] = {}
        layers = list(convolutions(self.features).values())

        def keep(layer: nn.Module, inputs: object, output: Tensor) -> None:
            found[layers.index(layer)] = output.clone()  # type: ignore[arg-type]  # before an activation in place

        hooks = [layer.register_forward_hook(keep) for layer in layers]
        last = self.features(self.transform(images))
        for hook in hooks:
            hook.remove()
        pooled = self.pools(last)
        logits, gradient = derivative(list(self.dense), pooled.flatten(1))
        gradient = gradient.unflatten(2, pooled.shape[1:]).sum((3, 4))  # [N, classes, C]
        heat = torch.einsum("nkc,nchw->nkhw", gradient, last).relu() / (last.shape[2] * last.shape[3])
        return View(logits, heat, tuple(found[place] for place in range(len(layers))))


def derivative(layers: Sequence[nn.Module], inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Run inputs [N, features] through dense layers and activations; return the logits [N, classes] and the
    gradient of each with respect to the inputs, [N, classes, features]."""
    seen, values = [], inputs
    for layer in layers:
        seen.append(values)
        values = layer(values.clone())
    size = values.shape[1]
    gradient = torch.eye(size).expand(inputs.shape[0], size, size)
    for layer, before in zip(layers[::-1], seen[::-1], strict=True):
        match layer:
            case ScaledLinear():
                gradient = gradient @ layer.weight / layer.in_features
            case nn.Linear():
                gradient = gradient @ layer.weight
            case _:
                gradient = gradient * slope(layer, before)[:, None]
    return values, gradient


def slope(activation: nn.Module, inputs: Tensor) -> Tensor:
    """Return the derivative of an activation at its inputs."""
    match activation:
        case nn.ReLU():
            return (inputs > 0).to(inputs.dtype)
        case nn.Tanh():
            return 1 - torch.tanh(inputs) ** 2
        case nn.SiLU():
            gate = torch.sigmoid(inputs)
            return gate * (1 + inputs * (1 - gate))
        case nn.GELU():
            below = (1 + torch.erf(inputs / sqrt(2))) / 2
            return below + inputs * torch.exp(-(inputs**2) / 2) / sqrt(2 * pi)
        case _:
            raise TypeError(f"the derivative of {type(activation).__name__} is not implemented")
