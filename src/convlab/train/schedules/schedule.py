"""The learning rate of each step: what all schedules share."""

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from convlab.train.optimizers.rates import rate_of, set_rate

Factor = Callable[[float], float]  # of `lr`, a function of the time in epochs (2.5: the middle of the third)


class Schedule:
    """The learning rate of each step, in the same proportion for each of an optimiser's groups."""

    def __init__(self, optimizer: Optimizer, factor: Factor):
        self.optimizer, self.factor = optimizer, factor
        self.peaks = [float(group["lr"]) for group in optimizer.param_groups]
        self.lr = self.peaks[0]  # now in force, of the first group

    def begin_step(self, time: float) -> None:
        """Set the rate of the step that begins at `time`, in epochs since the start of the training."""
        if (lr := self.peaks[0] * self.factor(time)) != self.lr:
            self.lr = lr
            for group, peak in zip(self.optimizer.param_groups, self.peaks, strict=True):
                set_rate(group, peak * self.factor(time))

    def end_epoch(self, monitored: float) -> None:
        """Take note of the loss that `monitor` names: nothing to a function of time alone."""

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint has to keep; the rate itself is the optimiser's."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a checkpoint, once the optimiser has been restored from it."""
        for group in self.optimizer.param_groups:
            if isinstance(group["lr"], Tensor):  # a checkpoint's tensors are on the CPU
                group["lr"] = group["lr"].to(group["params"][0].device)
        self.lr = rate_of(self.optimizer.param_groups[0])
