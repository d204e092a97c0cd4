"""Which epoch's weights to keep, and when to stop early."""

import math
from typing import Any

from torch import Tensor, nn

from convlab import schema


class BestWeights:
    """Keep the weights of the best epoch, as `keep` defines it, and decide on early stopping."""

    def __init__(self, keep: str, early_stopping: schema.EarlyStopping | None):
        self.keep = keep
        self.patience = early_stopping.patience if early_stopping else math.inf
        self.lowest_loss, self.lowest_epoch = math.inf, 0
        self.score, self.epoch = -math.inf, 0
        self.state: dict[str, Tensor] = {}

    def update(self, epoch: int, monitored: float, accuracy: float, model: nn.Module) -> bool:
        """Record an epoch, with the loss that `monitor` names; return True when training should stop."""
        score = {"lowest_loss": -monitored, "highest_accuracy": accuracy, "last": epoch}[self.keep]
        if score > self.score:
            self.score, self.epoch = score, epoch
            if self.keep != "last":
                self.state = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
        if monitored < self.lowest_loss:
            self.lowest_loss, self.lowest_epoch = monitored, epoch
        return epoch - self.lowest_epoch >= self.patience

    def state_dict(self) -> dict[str, Any]:
        """Return the whole state, for a checkpoint."""
        return dict(vars(self))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a checkpoint."""
        vars(self).update(state)

    def restore(self, model: nn.Module) -> None:
        """Load the best weights into the model."""
        if self.keep != "last":
            model.load_state_dict(self.state)
