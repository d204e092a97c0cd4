"""The random numbers of one augmentation in one epoch."""

from typing import Any

import numpy as np
import torch

from convlab.seeds import derive, derive_seed


class Streams:
    """A stream on the device and one on the host, from (seed, the augmentation's name, epoch) alone.

    So adding or removing an augmentation changes nothing about the others.
    """

    def __init__(self, seed: int, name: str, epoch: int, device: torch.device):
        self.seed, self.epoch = seed, epoch
        self.device = derive(seed, f"augment/{name}", epoch, device)
        self.host = np.random.default_rng(derive_seed(seed, f"augment/{name}/host", epoch))

    def state_dict(self) -> dict[str, Any]:
        """Return the states of both, for a checkpoint."""
        return {"device": self.device.get_state(), "host": self.host.bit_generator.state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a checkpoint."""
        self.device.set_state(state["device"])
        self.host.bit_generator.state = state["host"]
