"""The layers of a model and their cost: output shapes, parameters, operations, memory."""

from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

FLOAT32 = 4  # bytes


@dataclass(frozen=True)
class LayerSummary:
    """One layer for one image.

    Attributes:
        macs: multiply-accumulates of a convolution or linear layer, else 0.
        statistics: the running means and variances of a batch normalisation, and the computed filters of a
            whitening, else 0: not trained, but saved.
        normalised: the output elements of a batch normalisation, else 0.
        kept: elements of memory that its output takes until the backward pass; none where it is a view of
            its input, or overwrites it.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...]
    parameters: int
    macs: int
    statistics: int
    normalised: int
    kept: int


@dataclass(frozen=True)
class Summary:
    """A model for images of `input_shape` (channels, height, width): its layers in the order of running."""

    input_shape: tuple[int, ...]
    layers: list[LayerSummary]

    @property
    def trainable_parameters(self) -> int:
        """What the optimiser changes."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def total_parameters(self) -> int:
        """The same and what is saved without being trained, as Keras counts (R3's 307,818)."""
        return self.trainable_parameters + sum(layer.statistics for layer in self.layers)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one image in convolutions and linear layers."""
        return sum(layer.macs for layer in self.layers)

    @property
    def flops(self) -> int:
        """Floating point operations of one image: two for each multiply-accumulate."""
        return 2 * self.macs

    @property
    def report_flops(self) -> int:
        """R2's convention: one for each multiply-accumulate, and 4 for each element that is normalised."""
        return self.macs + 4 * sum(layer.normalised for layer in self.layers)

    @property
    def weight_bytes(self) -> int:
        """The memory of what is saved, in float32."""
        return FLOAT32 * self.total_parameters

    def activation_bytes(self, images: int = 1) -> int:
        """Estimate what a batch keeps in float32 for the backward pass: the images and the layers' outputs.

        Left out is what a framework adds to that (the indices of a pooling, the masks of dropout, buffers).
        """
        return FLOAT32 * images * (prod(self.input_shape) + sum(layer.kept for layer in self.layers))


def summarise(model: nn.Module, input_shape: list[int]) -> Summary:
    """Summarise a model; it is left in evaluation mode, its weights as they were."""
    return Summary(tuple(input_shape), layers_of(model, input_shape))


def layers_of(model: nn.Module, input_shape: list[int]) -> list[LayerSummary]:
    """Run one blank image through the model and list its layers in the order in which they ran.

    Identity layers are left out.
    """
    layers: list[LayerSummary] = []

    def note(name: str) -> Any:
        return lambda module, inputs, output: layers.append(_layer(name, module, output))

    leaves = [(name, module) for name, module in model.named_modules() if not list(module.children())]
    hooks = [
        module.register_forward_hook(note(name))
        for name, module in leaves
        if not isinstance(module, nn.Identity)
    ]
    device = next(model.parameters()).device
    model.eval()
    with torch.no_grad():
        model(torch.zeros(1, *input_shape, device=device))
    for hook in hooks:
        hook.remove()
    return layers


def _layer(name: str, module: nn.Module, output: Tensor) -> LayerSummary:
    weights = list(module.parameters())
    elements = output[0].numel()
    macs = 0
    if isinstance(module, (nn.Conv2d, nn.Linear)):  # each output element sums one kernel's products
        macs = elements * module.weight[0].numel()
    return LayerSummary(
        name=name,
        kind=type(module).__name__,
        output_shape=tuple(output.shape[1:]),
        parameters=sum(weight.numel() for weight in weights if weight.requires_grad),
        macs=macs,
        # floating point: the number of batches seen is not a statistic
        statistics=sum(buffer.numel() for buffer in module.buffers() if buffer.is_floating_point())
        + sum(weight.numel() for weight in weights if not weight.requires_grad),
        normalised=elements if isinstance(module, nn.BatchNorm2d) else 0,
        kept=0 if isinstance(module, nn.Flatten) or getattr(module, "inplace", False) else elements,
    )
