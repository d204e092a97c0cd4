"""Learning rates of groups of weights: numbers, or tensors where a CUDA graph has to see them change."""

from typing import Any

import torch
from torch import Tensor


def as_rate(lr: float, device: torch.device) -> Any:
    """Return a learning rate in the form that `set_rate` changes on a device."""
    return torch.tensor(lr, device=device) if device.type == "cuda" else lr


def set_rate(group: dict[str, Any], lr: float) -> None:
    """Set the learning rate of a group of weights, in place if it is a tensor."""
    if isinstance(group["lr"], Tensor):
        group["lr"].fill_(lr)
    else:
        group["lr"] = lr


def rate_of(group: dict[str, Any]) -> float:
    """Return the learning rate of a group; of a float32 tensor the seven digits that it holds."""
    return float(f"{group['lr'].item():.7g}") if isinstance(group["lr"], Tensor) else group["lr"]
