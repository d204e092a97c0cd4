"""What a model is made of: output shapes, parameters and multiply-accumulates, layer by layer."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Layer:
    """One layer for one image. `macs`: multiply-accumulates of a convolution or linear layer, else 0."""

    name: str
    kind: str
    output_shape: tuple[int, ...]
    parameters: int
    macs: int


def layers_of(model: nn.Module, input_shape: list[int]) -> list[Layer]:
    """Run one blank image through the model and list its layers in the order in which they ran."""
    layers: list[Layer] = []

    def note(name: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Tensor) -> None:
            macs = 0
            if isinstance(module, (nn.Conv2d, nn.Linear)):  # each output element sums one kernel's products
                macs = output[0].numel() * module.weight[0].numel()
            parameters = sum(parameter.numel() for parameter in module.parameters())
            layers.append(Layer(name, type(module).__name__, tuple(output.shape[1:]), parameters, macs))

        return hook

    leaves = [(name, module) for name, module in model.named_modules() if not list(module.children())]
    hooks = [module.register_forward_hook(note(name)) for name, module in leaves]
    device = next(model.parameters()).device
    model.eval()
    with torch.no_grad():
        model(torch.zeros(1, *input_shape, device=device))
    for hook in hooks:
        hook.remove()
    return layers


def count_flops(model: nn.Module, input_shape: list[int]) -> int:
    """Count the floating point operations of one image's forward pass through the convolutions and linear
    layers, two for each multiply-accumulate."""
    return 2 * sum(layer.macs for layer in layers_of(model, input_shape))
