"""Optimisers, learning rate schedules, and which epoch to keep, from their sections of params.yaml."""

import math
from collections.abc import Callable
from typing import Any, assert_never

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from convlab import schema
from convlab.models import penalised
from convlab.schema import Experiment
from convlab.schema.training import Constant, Cosine, MultiStep, OneCycle, Plateau, Step
from convlab.train.device import PRECISIONS, select_precision
from convlab.train.muon import Muon

ONE_CYCLE_START = 1 / 25  # of the peak, as in Smith and Topin (2018) and in PyTorch


def build_optimizer(model: nn.Module, recipe: Experiment) -> Optimizer:
    """Return the optimiser of a model that is where it stays; fused, so that one kernel updates all weights.

    On a GPU its steps can be captured in a CUDA graph: learning rates and step counts are tensors there.
    """
    settings = recipe.optimizer
    device = next(model.parameters()).device
    common: dict[str, Any] = {"weight_decay": recipe.weight_decay, "fused": True}
    match settings:
        case schema.training.Muon():
            return _muon(model, settings, recipe, device)
        case schema.training.SGD():
            descent = DecoupledSGD if settings.decoupled else SGD
            common |= {"momentum": settings.momentum, "nesterov": settings.nesterov}
            return descent(model.parameters(), lr=_rate(recipe.lr, device), **common)
        case schema.training.Adam():
            family = AdamW if settings.name == "adamw" else Adam
            return family(model.parameters(), **_adam(settings, recipe.lr, device), **common)
        case _:
            assert_never(settings)


def _adam(settings: schema.training.Adam | schema.training.Rest, lr: float, device: torch.device) -> Any:
    betas = (settings.betas[0], settings.betas[1])
    return {
        "lr": _rate(lr, device),
        "betas": betas,
        "eps": settings.eps,
        "capturable": device.type == "cuda",
    }


def _rate(lr: float, device: torch.device) -> Any:
    """Return a learning rate in the form that `set_rate` changes: a tensor, where a graph has to see it."""
    return torch.tensor(lr, device=device) if device.type == "cuda" else lr


def set_rate(group: dict[str, Any], lr: float) -> None:
    """Set the learning rate of a group of weights, in place if it is a tensor."""
    if isinstance(group["lr"], Tensor):
        group["lr"].fill_(lr)
    else:
        group["lr"] = lr


def rate_of(group: dict[str, Any]) -> float:
    """Return the learning rate of a group; of a float32 tensor the seven digits that it holds."""
    return float(f"{group['lr'].item():.7g}") if isinstance(group["lr"], Tensor) else group["lr"]


def _muon(model: nn.Module, settings: schema.training.Muon, recipe: Experiment, device: torch.device) -> Muon:
    kernels = [layer.weight for layer in model.modules() if isinstance(layer, nn.Conv2d)]
    chosen = {id(kernel) for kernel in kernels}
    rest = AdamW(
        [weight for weight in model.parameters() if id(weight) not in chosen],
        **_adam(settings.adamw, settings.adamw.lr, device),
        weight_decay=recipe.weight_decay,
        fused=True,
    )
    precision = select_precision(recipe.precision, kernels[0].device)
    return Muon(
        kernels,
        rest,
        lr=_rate(recipe.lr, device),
        momentum=settings.momentum,
        nesterov=settings.nesterov,
        weight_decay=recipe.weight_decay,
        dtype=PRECISIONS[precision],
    )


class DecoupledSGD(SGD):
    """SGD whose weight decay is decoupled from the gradient (Loshchilov and Hutter, 2019).

    w ← w − lr · λ · w before each step, as in PyTorch's AdamW: momentum does not carry the decay on.
    """

    def __init__(self, params: Any, weight_decay: float, **settings: Any):
        super().__init__(params, **settings)
        self.decay = weight_decay

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Shrink the weights that have a gradient, then update them."""
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            torch._foreach_mul_(weights, 1 - group["lr"] * self.decay)
        super().step()


class Schedule:
    """The learning rate of each step, in the same proportion for each of an optimiser's groups.

    A plateau's follows from what it monitors of the validation; every other is a function of the time alone.
    """

    def __init__(self, optimizer: Optimizer, recipe: Experiment):
        self.optimizer = optimizer
        self.peaks = [float(group["lr"]) for group in optimizer.param_groups]
        self.lr = self.peaks[0]  # now in force, of the first group
        self.plateau, self.factor = None, None
        if isinstance(recipe.schedule, Plateau):
            # `patience` as Keras counts it, and R0 with it: the n-th epoch without a better loss reduces the
            # rate (PyTorch's allows n and reduces at the next). Better means by 1e-4, also as in Keras.
            self.plateau = ReduceLROnPlateau(
                optimizer,
                factor=recipe.schedule.factor,
                patience=recipe.schedule.patience - 1,
                threshold=1e-4,
                threshold_mode="abs",
            )
        else:
            self.factor = lr_factor(recipe.schedule, recipe.epochs)

    def begin_step(self, time: float) -> None:
        """Set the rate of the step that begins at `time`, in epochs since the start of the training."""
        if self.factor and (lr := self.peaks[0] * self.factor(time)) != self.lr:
            self.lr = lr
            for group, peak in zip(self.optimizer.param_groups, self.peaks, strict=True):
                set_rate(group, peak * self.factor(time))

    def end_epoch(self, monitored: float) -> None:
        """Let a plateau see how the epoch went: the loss that `monitor` names."""
        if self.plateau:
            self.plateau.step(monitored)
            self.lr = rate_of(self.optimizer.param_groups[0])

    def state_dict(self) -> dict[str, Any]:
        """Give what a plateau has seen, for a checkpoint; the rate itself is the optimiser's."""
        return self.plateau.state_dict() if self.plateau else {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a checkpoint, once the optimiser has been restored from it."""
        if self.plateau:
            self.plateau.load_state_dict(state)
        for group in self.optimizer.param_groups:
            if isinstance(group["lr"], Tensor):  # a checkpoint's tensors are on the CPU
                group["lr"] = group["lr"].to(group["params"][0].device)
        self.lr = rate_of(self.optimizer.param_groups[0])


def lr_factor(settings: Any, epochs: int) -> Callable[[float], float]:
    """Give what `lr` is multiplied with, by the time in epochs (2.5: the middle of the third)."""
    match settings:
        case Constant():
            return lambda time: 1.0
        case Step():
            return lambda time: settings.factor ** (int(time) // settings.every)
        case MultiStep():
            return lambda time: settings.factor ** sum(int(time) + 1 >= mark for mark in settings.milestones)
        case Cosine():
            return lambda time: _rise_and_fall(time, settings.warmup, epochs, start=0.0)
        case OneCycle():
            return lambda time: _rise_and_fall(time, settings.warmup * epochs, epochs, ONE_CYCLE_START)
    raise TypeError(f"no schedule: {settings!r}")


def _rise_and_fall(time: float, warmup: float, epochs: int, start: float) -> float:
    """Rise linearly from `start` to 1 until `warmup`, then fall to 0 along half a cosine (Loshchilov and
    Hutter, 2017)."""
    if time < warmup:
        return start + (1 - start) * time / warmup
    return (1 + math.cos(math.pi * (time - warmup) / max(epochs - warmup, 1e-9))) / 2


class BestWeights:
    """Keep the weights of the best epoch, as `keep` understands it; say when early stopping should stop."""

    def __init__(self, keep: str, early_stopping: schema.EarlyStopping | None):
        self.keep = keep
        self.patience = early_stopping.patience if early_stopping else math.inf
        self.lowest_loss, self.lowest_epoch = math.inf, 0
        self.score, self.epoch = -math.inf, 0
        self.state: dict[str, Tensor] = {}

    def update(self, epoch: int, monitored: float, accuracy: float, model: nn.Module) -> bool:
        """Take note of an epoch, of the loss that `monitor` names; True when training should stop."""
        score = {"lowest_loss": -monitored, "highest_accuracy": accuracy, "last": epoch}[self.keep]
        if score > self.score:
            self.score, self.epoch = score, epoch
            if self.keep != "last":
                self.state = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
        if monitored < self.lowest_loss:
            self.lowest_loss, self.lowest_epoch = monitored, epoch
        return epoch - self.lowest_epoch >= self.patience

    def state_dict(self) -> dict[str, Any]:
        """Give everything, for a checkpoint."""
        return dict(vars(self))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        vars(self).update(state)

    def restore(self, model: nn.Module) -> None:
        """Put the best weights back."""
        if self.keep != "last":
            model.load_state_dict(self.state)


def l2_penalty(weights: list[Any], strength: float) -> Tensor:
    """Compute λ · Σ w² over all weights, the penalty as Keras' `l2(λ)` adds it to the loss (R0's form)."""
    return strength * sum(weight.square().sum() for weight in weights)


def penalty_of(model: nn.Module, recipe: Experiment) -> float:
    """Return the L2 penalty of a model's weights, 0.0 without L2. It waits for the device: once an epoch."""
    if not recipe.l2:
        return 0.0
    weights = [weight.detach().double() for weight in penalised(model, recipe.l2_on)]
    return l2_penalty(weights, recipe.l2).item()
