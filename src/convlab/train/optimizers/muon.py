"""Muon: momentum whose step for each kernel is made nearly orthogonal (Jordan et al., 2024)."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from convlab import schema
from convlab.schema import Experiment
from convlab.train.device import PRECISIONS, select_precision
from convlab.train.optimizers.adam import arguments
from convlab.train.optimizers.rates import as_rate

# Of an odd polynomial that Jordan chose to bring small singular values near 1 in few steps. They end between
# about 0.7 and 1.2, not at 1, which does the training no harm.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
STEPS = 5
TINY = 1e-7


def build_muon(model: nn.Module, settings: schema.training.Muon, recipe: Experiment) -> "Muon":
    """Return Muon for the kernels of convolutions, with AdamW for everything else."""
    kernels = [layer.weight for layer in model.modules() if isinstance(layer, nn.Conv2d)]
    device = kernels[0].device
    chosen = {id(kernel) for kernel in kernels}
    rest = AdamW(
        [weight for weight in model.parameters() if id(weight) not in chosen],
        **arguments(settings.adamw, settings.adamw.lr, device),
        weight_decay=recipe.weight_decay,
    )
    return Muon(
        kernels,
        rest,
        lr=as_rate(recipe.lr, device),
        momentum=settings.momentum,
        nesterov=settings.nesterov,
        weight_decay=recipe.weight_decay,
        dtype=PRECISIONS[select_precision(recipe.precision, device)],
    )


class Muon(Optimizer):
    """Muon for kernels, and with the same call AdamW for everything else.

    Its first group are the kernels, the second is AdamW's own, so that a schedule sets the rate of both.
    Weight decay is decoupled in both.
    """

    def __init__(
        self,
        kernels: list[Tensor],
        rest: AdamW,
        lr: float | Tensor,
        momentum: float,
        nesterov: bool,
        weight_decay: float,
        dtype: torch.dtype,
    ):
        """Set up; `dtype`: that in which the updates are made orthogonal (bfloat16 is enough).

        `lr`: a tensor where the steps are to be captured in a CUDA graph.
        """
        defaults = {"lr": lr, "momentum": momentum, "nesterov": nesterov, "weight_decay": weight_decay}
        super().__init__([{"params": kernels}], defaults)
        self.rest, self.dtype = rest, dtype
        self.param_groups += rest.param_groups

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update the kernels that have a gradient, then let AdamW update the rest."""
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
            update = orthogonalised(matrix.to(self.dtype)).to(kernel.dtype).reshape(kernel.shape)
            kernel.mul_(1 - group["lr"] * group["weight_decay"])
            # A tall matrix turns its short input into a long output: the factor lets each entry of it change
            # by as much as that of a wide one.
            kernel.sub_(update * (group["lr"] * max(1.0, rows / columns) ** 0.5))
        self.rest.step()

    def state_dict(self) -> dict[str, Any]:
        """Return the kernels' momentum and AdamW's own state."""
        return {"kernels": super().state_dict(), "rest": self.rest.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a `state_dict`."""
        super().load_state_dict(state["kernels"])
        self.rest.load_state_dict(state["rest"])
        self.param_groups[1:] = self.rest.param_groups  # the same objects again, for the schedule


def orthogonalised(matrix: Tensor) -> Tensor:
    """Return a matrix with its singular vectors and singular values near 1, by Newton–Schulz steps.

    Each is X ← aX + b(XXᵀ)X + c(XXᵀ)²X, from X of norm 1. Only matrix products: fast on a GPU, unlike an SVD.
    """
    a, b, c = COEFFICIENTS
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T  # the smaller of the two Gram matrices
    result = wide / (wide.norm() + TINY)
    for _ in range(STEPS):
        gram = result @ result.T
        result = a * result + (b * gram + c * gram @ gram) @ result
    return result if wide is matrix else result.T
