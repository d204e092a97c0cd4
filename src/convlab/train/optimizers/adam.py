"""Adam, and AdamW, whose weight decay is decoupled from the gradient."""

from typing import Any

import torch
from torch import nn
from torch.optim import Adam, AdamW, Optimizer

from convlab import schema
from convlab.schema import Experiment
from convlab.train.optimizers.rates import as_rate


def build_adam(model: nn.Module, settings: schema.training.Adam, recipe: Experiment) -> Optimizer:
    """Return Adam or AdamW, as `settings` name it; fused, so that one kernel updates all weights."""
    family = AdamW if settings.name == "adamw" else Adam
    device = next(model.parameters()).device
    weight_decay = recipe.weight_decay
    return family(model.parameters(), **arguments(settings, recipe.lr, device), weight_decay=weight_decay)


def arguments(
    settings: schema.training.Adam | schema.training.Rest, lr: float, device: torch.device
) -> dict[str, Any]:
    """Return Adam's arguments but for the weight decay; on a GPU its steps can be captured in a graph."""
    return {
        "lr": as_rate(lr, device),
        "betas": (settings.betas[0], settings.betas[1]),
        "eps": settings.eps,
        "fused": True,
        "capturable": device.type == "cuda",
    }
