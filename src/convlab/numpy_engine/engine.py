"""Where the training loop meets NumPy: PyTorch's modules and tensors, viewed as arrays in the same memory."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

from convlab.models.preact import PreActBlock
from convlab.numpy_engine.activation import SiLU
from convlab.numpy_engine.convolution import Conv2d
from convlab.numpy_engine.head import GlobalAveragePool, Linear, cross_entropy
from convlab.numpy_engine.layer import Layer
from convlab.numpy_engine.network import Residual, Sequential, layers_of
from convlab.numpy_engine.normalization import BatchNorm2d
from convlab.numpy_engine.parts import Parts
from convlab.numpy_engine.sgd import SGD
from convlab.numpy_engine.winograd import WinogradConv2d
from convlab.schema import Experiment
from convlab.train.history import StepResult

FEW = 4  # channels: with fewer, Winograd's matrix products are too thin to pay off


class NumpyEngine:
    """Takes the steps of a training; the weights that it changes are those of PyTorch's module."""

    def __init__(self, model: nn.Module, recipe: Experiment):
        self.parts = Parts(torch.get_num_threads())
        self.network = network_of(model, self.parts)
        self.optimizer = SharedSGD(model, layers_of(self.network), recipe)
        self.label_smoothing = recipe.label_smoothing
        norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
        self.counts = [norm.num_batches_tracked for norm in norms if norm.num_batches_tracked is not None]

    def step(self, images: Tensor, targets: Tensor) -> StepResult:
        """Do what `TorchEngine.step` does."""
        with self.parts.one_by_one():
            logits = self.network.forward(_pixels_in_rows(images), training=True)
            classes = logits.shape[1]
            labels = F.one_hot(targets, classes) if targets.ndim == 1 else targets
            smoothed = labels.float() * (1 - self.label_smoothing) + self.label_smoothing / classes
            loss, gradient = cross_entropy(logits, smoothed.numpy())
            self.network.backward(gradient)
            self.optimizer.step()
        for count in self.counts:
            count += 1
        return StepResult.of(torch.tensor(loss), torch.from_numpy(logits), targets)


class NumpyInference(nn.Module):
    """A module's network in NumPy, with the same weights: float32 [N, C, H, W] → logits [N, classes]."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.parts = Parts(torch.get_num_threads())
        self.network = network_of(model, self.parts)

    def forward(self, images: Tensor) -> Tensor:
        """Compute the logits."""
        with self.parts.one_by_one():
            return torch.from_numpy(self.network.forward(_pixels_in_rows(images), training=False))


class SharedSGD(Optimizer):
    """SGD in NumPy, as an optimiser that PyTorch's schedules can set and checkpoints save."""

    def __init__(self, model: nn.Module, layers: list[Layer], recipe: Experiment):
        super().__init__(model.parameters(), {"lr": recipe.lr})
        settings: Any = recipe.optimizer
        self.sgd = SGD(
            layers,
            settings.momentum,
            settings.nesterov,
            recipe.weight_decay,
            recipe.l2,
            l2_on_biases=recipe.l2_on == "kernels_and_biases",
        )

    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update the weights at the current rate."""
        self.sgd.step(self.param_groups[0]["lr"])

    def state_dict(self) -> dict[str, Any]:
        """Return the rate and the velocities, for a checkpoint."""
        velocities = [torch.from_numpy(velocity) for velocity in self.sgd.velocities]
        return {"lr": self.param_groups[0]["lr"], "velocities": velocities}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a checkpoint."""
        self.param_groups[0]["lr"] = state["lr"]
        for velocity, kept in zip(self.sgd.velocities, state["velocities"], strict=True):
            velocity[...] = kept.numpy()


def network_of(model: nn.Module, parts: Parts) -> Sequential:
    """Build the network of a `preact` module on the module's own memory, once `place` has put it there.

    Raises:
        TypeError: there is no such layer in NumPy.
    """
    network = layer_of(model, parts)
    assert isinstance(network, Sequential)
    return network


def layer_of(module: nn.Module, parts: Parts) -> Layer:
    """Build a module's layer on the module's own memory.

    Raises:
        TypeError: there is no such layer in NumPy.
    """
    match module:
        case nn.Sequential():
            inside = [
                child for child in module if not isinstance(child, nn.Flatten)
            ]  # the pool leaves [N, C]
            return Sequential(layer_of(child, parts) for child in inside)
        case PreActBlock():
            names = ("norm1", "activation1", "conv1", "norm2", "activation2", "conv2")
            inner = Sequential(layer_of(getattr(module, name), parts) for name in names)
            shortcut = module.shortcut
            return Residual(inner, None if isinstance(shortcut, nn.Identity) else layer_of(shortcut, parts))
        case nn.Conv2d():
            shape = (module.kernel_size[0], module.stride[0], module.padding[0])
            kind = WinogradConv2d if shape == (3, 1, 1) and module.in_channels >= FEW else Conv2d
            weight = _array(module.weight.permute(0, 2, 3, 1))
            return kind(weight, _array(module.bias), module.stride[0], int(module.padding[0]), parts)
        case nn.BatchNorm2d():
            statistics = (_array(module.running_mean), _array(module.running_var))
            assert module.momentum is not None
            settings = (module.eps, module.momentum)
            return BatchNorm2d(_array(module.weight), _array(module.bias), *statistics, *settings, parts)
        case nn.SiLU():
            return SiLU(parts)
        case nn.AdaptiveAvgPool2d():
            return GlobalAveragePool()
        case nn.Linear():
            return Linear(_array(module.weight), _array(module.bias))
    raise TypeError(f"no layer in NumPy for {module}")


def _array(tensor: Tensor | None) -> np.ndarray:
    """View a tensor's memory as an array."""
    assert tensor is not None
    array = tensor.detach().numpy()
    assert array.flags.c_contiguous, (
        "kernels lie in memory in the order of channels_last images: call `place` first"
    )
    return array


def _pixels_in_rows(images: Tensor) -> np.ndarray:
    """Turn [N, C, H, W] into [N, H, W, C]; without a copy, if that is how it lies in memory."""
    return np.ascontiguousarray(images.permute(0, 2, 3, 1).numpy())
