"""The engines that take a training step: PyTorch by automatic differentiation, or NumPy by hand."""

import os
from collections import Counter
from dataclasses import dataclass
from typing import Protocol, assert_never

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

from convlab.models.weights import penalised
from convlab.numpy_engine.engine import NumpyEngine
from convlab.schema import Experiment
from convlab.train.device import autocast, select_precision
from convlab.train.history import StepResult
from convlab.train.optimizers.registry import build_optimizer
from convlab.train.penalty import l2_penalty

EAGER = "CONVLAB_EAGER"  # set to anything: each kernel of a GPU's step is launched by itself


class Engine(Protocol):
    """What the training loop needs of an engine."""

    @property
    def optimizer(self) -> Optimizer:
        """Its learning rates are set by the schedule, its state is saved by checkpoints."""

    def step(self, images: Tensor, targets: Tensor) -> StepResult:
        """Make a step: forward, backward, update.

        Args:
            images: float32 [N, C, H, W], transformed, in the memory order of `channels_last`.
            targets: int64 [N], or probabilities float32 [N, classes].
        """


class TorchEngine:
    """Takes the steps with PyTorch: in bfloat16 by autocast, or compiled, if the recipe says so."""

    def __init__(self, model: nn.Module, recipe: Experiment, device: torch.device):
        self.model, self.recipe, self.device = model, recipe, device
        self.precision = select_precision(recipe.precision, device)
        self.optimizer = build_optimizer(model, recipe)
        self.penalised = penalised(model, recipe.l2_on)
        self.compiled = torch.compile(model, dynamic=False) if recipe.compile else model

    def step(self, images: Tensor, targets: Tensor) -> StepResult:
        """Make a step: forward, backward, update."""
        whole = len(images) == self.recipe.batch_size  # an epoch's last batch is not worth compiling for
        with autocast(self.precision, self.device):
            logits = (self.compiled if whole else self.model)(images).float()
        loss = F.cross_entropy(logits, targets, label_smoothing=self.recipe.label_smoothing)
        penalty = l2_penalty(self.penalised, self.recipe.l2) if self.recipe.l2 else 0.0
        (loss + penalty).backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        return StepResult.of(loss.detach(), logits.detach(), targets)


@dataclass(frozen=True)
class Captured:
    """A step as one CUDA graph, with the tensors that it reads and those that it leaves its results in."""

    graph: torch.cuda.CUDAGraph
    images: Tensor
    targets: Tensor
    step: StepResult


class GraphEngine(TorchEngine):
    """Takes the steps of a GPU as CUDA graphs: one launch in place of a hundred or more.

    A step of these small networks takes a GPU less time than Python takes to launch its kernels one by one.
    The first steps of each shape run eagerly, while cuDNN chooses its kernels and the optimiser creates its
    state; then a step is captured, and from there on replayed. An epoch's last, smaller batch stays eager.
    """

    WARM_UP = 3  # eager steps of each shape

    def __init__(self, model: nn.Module, recipe: Experiment, device: torch.device):
        super().__init__(model, recipe, device)
        self.seen: Counter[torch.Size] = Counter()
        self.captured: dict[torch.Size, Captured] = {}

    def step(self, images: Tensor, targets: Tensor) -> StepResult:
        """Make a step: forward, backward, update."""
        shape = images.shape
        self.seen[shape] += 1
        if len(images) < self.recipe.batch_size or self.seen[shape] <= self.WARM_UP:
            return super().step(images, targets)
        if shape not in self.captured:
            self.captured[shape] = self._capture(images, targets)
        captured = self.captured[shape]
        captured.images.copy_(images)
        captured.targets.copy_(targets)
        captured.graph.replay()
        return captured.step

    def _capture(self, images: Tensor, targets: Tensor) -> Captured:
        """Record a step without making it. `images` and `targets` are examples of their shape."""
        held = images.clone(), targets.clone()  # with the strides for which cuDNN has chosen its kernels
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            step = super().step(*held)
        return Captured(graph, *held, step)


def build_engine(model: nn.Module, recipe: Experiment, device: torch.device) -> Engine:
    """Return the engine that a recipe names, for a model that is on its device already (see `place`).

    On a GPU the steps are CUDA graphs, unless CONVLAB_EAGER is set: the same kernels, so the same results.
    """
    match recipe.engine:
        case "numpy":
            return NumpyEngine(model, recipe)
        case "torch":
            graphs = device.type == "cuda" and not os.environ.get(EAGER)
            return (GraphEngine if graphs else TorchEngine)(model, recipe, device)
        case _:
            assert_never(recipe.engine)
