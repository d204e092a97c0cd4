"""A network on several devices, which the training loop treats as one: whole batches in, their logits out."""

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from convlab.data.dataset import Split
from convlab.schema import Experiment
from convlab.train.checkpoint import Checkpoints
from convlab.train.distributed.layers import seeing_all
from convlab.train.distributed.share import Gathered, Share, gathered
from convlab.train.fit import fit
from convlab.train.history import History


class SharedOut(nn.Module):
    """A network that computes the share of one process, and gets the rest of the logits from the others.

    In training and in validation. Its state is that of the network, so that a checkpoint does not show on how
    many devices a training ran.
    """

    def __init__(self, network: nn.Module, share: Share):
        super().__init__()
        self.network, self.share = network, share
        # Made at the first step, once the weights are on their device; in a list it is not a submodule.
        self.parallel: list[DistributedDataParallel] = []

    def forward(self, images: Tensor) -> Tensor:
        """Compute the logits, float32 [N, classes], of a batch [N, C, H, W] that every process has."""
        self.share.total = len(images)
        own = images[self.share.own]
        if not self.training:
            return gathered(self.network(own).float(), self.share)
        if not self.parallel:
            self.parallel.append(DistributedDataParallel(self.network, broadcast_buffers=False))
        logits: Tensor = Gathered.apply(self.parallel[0](own).float(), self.share)
        return logits

    def state_dict(self, *arguments: Any, **named: Any) -> dict[str, Any]:  # type: ignore[override]
        """Return the network's."""
        return self.network.state_dict(*arguments, **named)

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Load the network's."""
        return self.network.load_state_dict(state, strict, assign)

    def __deepcopy__(self, memo: dict[int, Any]) -> "SharedOut":
        """Copy what an average of the weights needs: the network, not what shares it out in training."""
        return SharedOut(copy.deepcopy(self.network, memo), self.share)


def fit_share(
    share: Share,
    model: nn.Module,
    train: Split,
    validation: Split,
    transform: nn.Module,
    recipe: Experiment,
    device: torch.device,
    on_step: Callable[[int], None],
    on_epoch: Callable[[History], None],
    checkpoints: Checkpoints | None,
) -> History:
    """Do what `fit` does, as one of several processes, each of which calls this with the same arguments.

    Every process has all of the data, and prepares each batch whole: what is random is drawn for all of its
    images, and Mixup and CutMix take another image from anywhere in it. Then it computes its share.
    """
    network = SharedOut(seeing_all(copy.deepcopy(model), share, device), share)
    history = fit(network, train, validation, transform, recipe, device, on_step, on_epoch, checkpoints)
    model.load_state_dict(network.state_dict())
    return history
