"""Histograms of the weights of an L2 study as numbers: the book moves through them by a slider over λ."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from convlab import files

BINS = 41  # odd: one of them is around 0


def write_weight_counts(path: Path, layers: list[str], models: Mapping[str, Mapping[str, Tensor]]) -> None:
    """Write, for each layer, how many weights of each model are in bins from −`reach` to +`reach`.

    All models share a layer's bins. In the file, `counts` are by the models' names.
    """
    found = []
    for layer in layers:
        weights = {name: model[f"{layer}.weight"].flatten().float() for name, model in models.items()}
        reach = max(float(own.abs().max()) for own in weights.values())
        counts = {name: torch.histc(own, BINS, -reach, reach).int().tolist() for name, own in weights.items()}
        found.append({"name": layer, "reach": float(f"{reach:.3g}"), "counts": counts})
    files.write_json(path, found)
