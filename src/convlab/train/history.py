"""What a training keeps account of: its learning curves, and the sums of the epoch that is under way."""

import math
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

Record = dict[str, float]  # one row of the learning curves


class Diverged(ArithmeticError):
    """A loss is no longer a finite number."""


@dataclass
class History:
    """What happened, epoch by epoch.

    `records` are the learning curves, with the L2 penalty of the validated weights apart from the losses;
    `iterations`, if the recipe asks for them, the same of every step: loss
    (as trained on, without the L2 penalty), accuracy and learning rate. `epoch_seconds` and `device_seconds`
    cover training and validation. `cut_offs` counts how often the training went on from a checkpoint.
    """

    records: list[Record] = field(default_factory=list)
    iterations: list[Record] = field(default_factory=list)
    epoch_seconds: list[float] = field(default_factory=list)
    training_seconds: list[float] = field(default_factory=list)
    device_seconds: list[float] = field(default_factory=list)
    best_epoch: int = 0
    cut_offs: int = 0

    def state_dict(self) -> dict[str, Any]:
        """Give everything, for a checkpoint."""
        return asdict(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        for name, value in state.items():
            setattr(self, name, value)
        self.cut_offs += 1


class Sums:
    """What an epoch adds up, step by step.

    It stays on the device until the epoch's end: reading a number each step would stall a GPU.
    """

    def __init__(self, steps: int, iterations: bool, device: torch.device):
        self.steps = 0  # that are done
        self.loss = torch.zeros((), device=device)
        self.correct = torch.zeros((), device=device, dtype=torch.long)
        self.losses = torch.zeros(steps, device=device)
        self.accuracies = torch.zeros(steps, device=device) if iterations else None
        self.rates: list[float] = []

    def add(self, loss: Tensor, hits: Tensor, images: int, lr: float) -> None:
        """Add a step: its mean loss, how many of its images were classified correctly, its learning rate."""
        self.loss += loss * images
        self.correct += hits
        self.losses[self.steps] = loss
        if self.accuracies is not None:
            self.accuracies[self.steps] = hits / images
        self.rates.append(lr)
        self.steps += 1

    def require_finite(self, epoch: int) -> None:
        """Look at the losses; the device has to finish its work for that.

        Raises:
            Diverged: one is NaN or infinite; says which, at which learning rate, and what to try.
        """
        if not math.isfinite(self.loss.item()):
            broken = (~self.losses.isfinite()).nonzero()
            step = int(broken[0]) if len(broken) else self.steps - 1  # or they are too large to add up
            raise Diverged(
                f"in epoch {epoch}, step {step + 1} of {len(self.losses)}, at lr {self.rates[step]:g} the "
                f"training loss is {self.losses[step].item():g}; try a lower lr, or precision: fp32"
            )

    def iterations(self, epoch: int, before: int) -> list[Record]:
        """Give the rows of each step, if they are kept; `before`: how many there were in earlier epochs."""
        if self.accuracies is None:
            return []
        rows = zip(self.rates, self.losses.tolist(), self.accuracies.tolist(), strict=True)
        return [
            {"iteration": before + number, "epoch": epoch, "lr": lr, "loss": loss, "accuracy": accuracy}
            for number, (lr, loss, accuracy) in enumerate(rows, start=1)
        ]

    def state_dict(self) -> dict[str, Any]:
        """Give everything, for a checkpoint."""
        return dict(vars(self))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        device = self.loss.device
        for name, value in state.items():
            setattr(self, name, value.to(device) if isinstance(value, Tensor) else value)
