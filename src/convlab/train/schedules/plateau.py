"""A rate that is reduced where the validation loss no longer improves."""

from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from convlab.schema.training import Plateau
from convlab.train.optimizers.rates import rate_of
from convlab.train.schedules.constant import constant
from convlab.train.schedules.schedule import Schedule


class PlateauSchedule(Schedule):
    """Reduce the rate after epochs without a better loss.

    `patience` as Keras counts it, and R0 with it: the n-th epoch without a better loss reduces the rate
    (PyTorch's allows n and reduces at the next). Better means by 1e-4, also as in Keras.
    """

    def __init__(self, optimizer: Optimizer, section: Plateau):
        super().__init__(optimizer, constant())
        self.plateau = ReduceLROnPlateau(
            optimizer,
            factor=section.factor,
            patience=section.patience - 1,
            threshold=1e-4,
            threshold_mode="abs",
        )

    def begin_step(self, time: float) -> None:
        """Leave the rate as the epochs before have set it."""

    def end_epoch(self, monitored: float) -> None:
        """Update the plateau with the loss that `monitor` names."""
        self.plateau.step(monitored)
        self.lr = rate_of(self.optimizer.param_groups[0])

    def state_dict(self) -> dict[str, Any]:
        """Return the plateau's state, for a checkpoint."""
        return self.plateau.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a checkpoint, once the optimiser has been restored from it."""
        self.plateau.load_state_dict(state)
        super().load_state_dict(state)
