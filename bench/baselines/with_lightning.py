"""PyTorch Lightning, as its documentation teaches, on the Dataset and DataLoader of the plain loop.

What costs time and training does not need is off: the progress bar, loggers, checkpoints.
"""

from collections.abc import Callable
from typing import Any

import lightning
import torch
from torch import Tensor, nn

from bench.baselines.plain import criterion_of, loader_of, model_of, optimizer_of
from bench.speed.cases import Data
from convlab.schema import Experiment


class Classifier(lightning.LightningModule):
    """A network with its loss and its optimiser."""

    def __init__(self, model: nn.Module, experiment: Experiment):
        super().__init__()
        self.model, self.experiment = model, experiment
        self.criterion = criterion_of(experiment)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_index: int) -> Tensor:
        """Compute the loss of a batch."""
        images, labels = batch
        loss = self.criterion(self.model(images), labels)
        self.log("train_loss", loss)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Build the optimiser."""
        return optimizer_of(self.experiment, self.model)


class Ticking(lightning.Callback):
    """Ticks after each step."""

    def __init__(self, tick: Callable[[], None]):
        self.tick = tick

    def on_train_batch_end(self, *arguments: Any, **more: Any) -> None:
        """Record that a step has ended."""
        self.tick()


def train(experiment: Experiment, data: Data, tick: Callable[[], None]) -> None:
    """Train epoch after epoch."""
    trainer = lightning.Trainer(
        max_epochs=experiment.epochs,
        accelerator="cpu",
        callbacks=[Ticking(tick)],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Classifier(model_of(experiment), experiment), loader_of(experiment, data))
