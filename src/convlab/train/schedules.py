"""The learning rate of each step, from the `schedule` section of params.yaml."""

import math
from collections.abc import Callable
from typing import Any, assert_never

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from convlab.schema import Experiment
from convlab.schema.training import Constant, Cosine, MultiStep, OneCycle, Plateau, Step
from convlab.train.optimizers.rates import rate_of, set_rate

ONE_CYCLE_START = 1 / 25  # of the peak, as in Smith and Topin (2018) and in PyTorch


class Schedule:
    """The learning rate of each step, in the same proportion for each of an optimiser's groups.

    A plateau's depends on the validation loss that it monitors; every other is a function of time alone.
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
        """Update a plateau with the loss that `monitor` names."""
        if self.plateau:
            self.plateau.step(monitored)
            self.lr = rate_of(self.optimizer.param_groups[0])

    def state_dict(self) -> dict[str, Any]:
        """Return a plateau's state, for a checkpoint; the rate itself is the optimiser's."""
        return self.plateau.state_dict() if self.plateau else {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a checkpoint, once the optimiser has been restored from it."""
        if self.plateau:
            self.plateau.load_state_dict(state)
        for group in self.optimizer.param_groups:
            if isinstance(group["lr"], Tensor):  # a checkpoint's tensors are on the CPU
                group["lr"] = group["lr"].to(group["params"][0].device)
        self.lr = rate_of(self.optimizer.param_groups[0])


def lr_factor(
    settings: Constant | Step | MultiStep | Cosine | OneCycle, epochs: int
) -> Callable[[float], float]:
    """Return the factor of `lr`, a function of the time in epochs (2.5: the middle of the third)."""
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
        case _:
            assert_never(settings)


def _rise_and_fall(time: float, warmup: float, epochs: int, start: float) -> float:
    """Rise linearly from `start` to 1 until `warmup`, then fall to 0 along half a cosine (Loshchilov and
    Hutter, 2017)."""
    if time < warmup:
        return start + (1 - start) * time / warmup
    return (1 + math.cos(math.pi * (time - warmup) / max(epochs - warmup, 1e-9))) / 2
