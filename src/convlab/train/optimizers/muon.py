"""Muon: momentum whose step for each kernel is made nearly orthogonal (Jordan et al., 2024)."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from convlab import schema
from convlab.schema import Experiment
from convlab.train.device import PRECISIONS, select_precision
from convlab.train.optimizers.adam import arguments
from convlab.train.optimizers.rates import as_rate

# Of an odd polynomial, chosen by Jordan to bring small singular values near 1 in few steps. They end between
# about 0.7 and 1.2, not at 1, which does the training no harm.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
TINY = 1e-7


def build_muon(model: nn.Module, settings: schema.training.Muon, recipe: Experiment) -> "Muon":
    """Return Muon for the kernels of convolutions, with AdamW or SGD for everything else."""
    kernels = [layer.weight for layer in model.modules() if isinstance(layer, nn.Conv2d)]
    device = kernels[0].device
    chosen = {id(kernel) for kernel in kernels}
    others = [weight for weight in model.parameters() if weight.requires_grad and id(weight) not in chosen]
    return Muon(
        kernels,
        rest_of(others, settings, recipe, device),
        lr=as_rate(recipe.lr, device),
        momentum=settings.momentum,
        nesterov=settings.nesterov,
        weight_decay=recipe.weight_decay,
        dtype=PRECISIONS[select_precision(recipe.precision, device)],
        steps=settings.steps,
        normalise=settings.normalise,
    )


def rest_of(
    weights: Sequence[Tensor], settings: schema.training.Muon, recipe: Experiment, device: torch.device
) -> Optimizer:
    """Return the optimiser of what Muon leaves: biases, batch normalisation, linear layers."""
    match settings.adamw, settings.sgd:
        case schema.training.Rest() as adamw, None:
            given = arguments(adamw, adamw.lr, device)
            return AdamW(weights, **given, weight_decay=recipe.weight_decay)
        case None, schema.training.RestBySGD() as sgd:
            groups = []
            for lr, some in (
                (sgd.lr, [weight for weight in weights if weight.ndim == 1]),
                (sgd.lr_linear, [weight for weight in weights if weight.ndim > 1]),
            ):
                rate = lr * recipe.batch_size  # of the mean loss
                decay = recipe.weight_decay / rate
                groups.append({"params": some, "lr": as_rate(rate, device), "weight_decay": decay})
            return SGD(groups, momentum=sgd.momentum, nesterov=sgd.nesterov, fused=True)
        case _:
            raise AssertionError("the schema asks for exactly one")


class Muon(Optimizer):
    """Muon for kernels, and with the same call AdamW or SGD for everything else.

    Its first group are the kernels, the others are those of the rest's optimiser, so that a schedule sets
    all rates. The kernels' weight decay is decoupled; with `normalise` they have a fixed norm in its place.
    """

    def __init__(
        self,
        kernels: list[Tensor],
        rest: Optimizer,
        lr: float | Tensor,
        momentum: float,
        nesterov: bool,
        weight_decay: float,
        dtype: torch.dtype,
        steps: int = 5,
        normalise: bool = False,
    ):
        """Set up; `dtype`: that in which the updates are made orthogonal (bfloat16 is enough).

        `lr`: a tensor where the steps are to be captured in a CUDA graph.
        """
        defaults = {"lr": lr, "momentum": momentum, "nesterov": nesterov, "weight_decay": weight_decay}
        super().__init__([{"params": kernels}], defaults)
        self.rest, self.dtype, self.steps, self.normalise = rest, dtype, steps, normalise
        self.param_groups += rest.param_groups

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update the kernels that have a gradient, then the rest."""
        group = self.param_groups[0]
        for kernel in group["params"]:
            if kernel.grad is None:
                continue
            state = self.state[kernel]
            if not state:
                state["momentum"] = torch.zeros_like(kernel)
            velocity = state["momentum"].mul_(group["momentum"]).add_(kernel.grad)
            update = kernel.grad + group["momentum"] * velocity if group["nesterov"] else velocity
            matrix = update.flatten(1)  # [out, in·kh·kw]
            rows, columns = matrix.shape
            update = orthogonalised(matrix.to(self.dtype), self.steps).to(kernel.dtype).reshape(kernel.shape)
            if self.normalise:  # as in airbench94_muon: the update has a norm of about √(filters) as well
                kernel.mul_(rows**0.5 / kernel.norm())
                kernel.sub_(update * group["lr"])
                continue
            kernel.mul_(1 - group["lr"] * group["weight_decay"])
            # A tall matrix turns its short input into a long output: the factor lets each entry of it change
            # by as much as that of a wide one.
            kernel.sub_(update * (group["lr"] * max(1.0, rows / columns) ** 0.5))
        self.rest.step()

    def state_dict(self) -> dict[str, Any]:
        """Return the kernels' momentum, and the state of the rest's optimiser."""
        return {"kernels": super().state_dict(), "rest": self.rest.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a `state_dict`."""
        super().load_state_dict(state["kernels"])
        self.rest.load_state_dict(state["rest"])
        self.param_groups[1:] = self.rest.param_groups  # the same objects again, for the schedule


def orthogonalised(matrix: Tensor, steps: int = 5) -> Tensor:
    """Return a matrix with its singular vectors and singular values near 1, by Newton–Schulz steps.

    Each is X ← aX + b(XXᵀ)X + c(XXᵀ)²X, from X of norm 1. Only matrix products: fast on a GPU, unlike an SVD.
    """
    a, b, c = COEFFICIENTS
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T  # the smaller of the two Gram matrices
    result = wide / (wide.norm() + TINY)
    for _ in range(steps):
        gram = result @ result.T
        result = a * result + (b * gram + c * gram @ gram) @ result
    return result if wide is matrix else result.T
