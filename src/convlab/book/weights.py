"""Histograms of a network's weights as numbers, for the trials of an L2 study whose weights are here."""

from collections.abc import Sequence
from typing import Any

from convlab.errors import InputError

BINS = 41  # odd: one of them is around 0


def histograms(trials: Sequence[str]) -> list[dict[str, Any]]:
    """Count the weights of each layer of trials, in bins from −`reach` to +`reach` that all of them share.

    A layer is {"name", "reach", "counts": a list for each trial}; none where the weights of one are not here.
    """
    import torch
    from torch import nn

    from convlab.networks.trained import load_trained

    try:
        models = [load_trained(trial).model for trial in trials]
    except InputError:
        return []
    layers = [name for name, layer in models[0].named_modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    found = []
    for name in layers:
        weights = [model.get_parameter(f"{name}.weight").detach().flatten() for model in models]
        reach = max(float(own.abs().max()) for own in weights)
        counts = [torch.histc(own, BINS, -reach, reach).int().tolist() for own in weights]
        found.append({"name": name, "reach": float(f"{reach:.3g}"), "counts": counts})
    return found
