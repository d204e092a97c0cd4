"""The record of a training: its learning curves, and the running sums of the current epoch."""

from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor

Record = dict[str, float]  # one row of the learning curves


class Diverged(ArithmeticError):
    """A loss is no longer a finite number."""


class StepResult(NamedTuple):
    """What a step of a training leaves on the device.

    `loss` is the mean cross-entropy in nats, without the L2 penalty; `hits` counts the images whose most
    likely class is right; `logits` are float32 [N, classes].
    """

    loss: Tensor
    hits: Tensor
    logits: Tensor

    @classmethod
    def of(cls, loss: Tensor, logits: Tensor, targets: Tensor) -> Self:
        """Count the hits. Of `targets` that are probabilities, the largest is the right class."""
        labels = targets if targets.ndim == 1 else targets.argmax(1)
        return cls(loss, (logits.argmax(1) == labels).sum(), logits)


@dataclass
class History:
    """What happened, epoch by epoch.

    `records` are the learning curves, with the L2 penalty of the validated weights apart from the losses;
    `iterations`, if the recipe asks for them, have a row for every step: loss (as trained on, without the L2
    penalty), accuracy and learning rate. `epoch_seconds` and `device_seconds` cover training and validation.
    `cut_offs` counts how often the training resumed from a checkpoint.
    """

    records: list[Record] = field(default_factory=list)
    iterations: list[Record] = field(default_factory=list)
    epoch_seconds: list[float] = field(default_factory=list)
    training_seconds: list[float] = field(default_factory=list)
    device_seconds: list[float] = field(default_factory=list)
    best_epoch: int = 0
    cut_offs: int = 0

    def state_dict(self) -> dict[str, Any]:
        """Return the whole state, for a checkpoint."""
        return asdict(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a checkpoint."""
        for name, value in state.items():
            setattr(self, name, value)
        self.cut_offs += 1


class Sums:
    """The running sums of an epoch.

    They stay on the device until the epoch's end: reading a number each step would stall a GPU.
    """

    def __init__(self, steps: int, device: torch.device):
        self.steps = 0  # that are done
        self.losses = torch.zeros(steps, device=device)
        self.hits = torch.zeros(steps, device=device, dtype=torch.long)
        self.images: list[int] = []
        self.rates: list[float] = []

    def add(self, loss: Tensor, hits: Tensor, images: int, lr: float) -> None:
        """Add a step: its mean loss, how many of its images were classified correctly, its learning rate."""
        self.losses[self.steps] = loss
        self.hits[self.steps] = hits
        self.images.append(images)
        self.rates.append(lr)
        self.steps += 1

    def means(self) -> tuple[float, float]:
        """Return the mean loss and the accuracy over the images of the steps that are done."""
        loss = sum(mean * images for mean, images in zip(self.losses.tolist(), self.images, strict=True))
        return loss / sum(self.images), self.hits.sum().item() / sum(self.images)

    def require_finite(self, epoch: int) -> None:
        """Check the losses, which waits for the device.

        Raises:
            Diverged: one is NaN or infinite; says which, at which learning rate, and what to try.
        """
        broken = (~self.losses.isfinite()).nonzero()
        if len(broken):
            step = int(broken[0])
            raise Diverged(
                f"in epoch {epoch}, step {step + 1} of {len(self.losses)}, at lr {self.rates[step]:g} the "
                f"training loss is {self.losses[step].item():g}; try a lower lr, or precision: fp32"
            )

    def iterations(self, epoch: int, before: int) -> list[Record]:
        """Return the row of each step; `before`: how many there were in earlier epochs."""
        rows = zip(self.rates, self.losses.tolist(), self.hits.tolist(), self.images, strict=True)
        return [
            {"iteration": before + number, "epoch": epoch, "lr": lr, "loss": loss, "accuracy": hits / images}
            for number, (lr, loss, hits, images) in enumerate(rows, start=1)
        ]

    def state_dict(self) -> dict[str, Any]:
        """Return the whole state, for a checkpoint."""
        return dict(vars(self))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a checkpoint."""
        device = self.losses.device
        for name, value in state.items():
            setattr(self, name, value.to(device) if isinstance(value, Tensor) else value)
