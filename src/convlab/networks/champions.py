"""Weights in git: of the best network of each data set, so that a clone predicts without training.

`champions/RESULT.safetensors` holds what `data/models` holds of a result's first seed, and in its header
whose weights they are and how images become the network's input, which otherwise takes the data to compute.
dvc.yaml lists the files as artifacts. A file is used only while the record in `metrics/RESULT` is of the same
weights.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from torch import Tensor

from convlab import files
from convlab.data.dataset import Statistics
from convlab.errors import InputError

MOST = 10_000_000  # bytes that git is asked to keep of one network
FACTS = "convlab"  # in a header: one entry, since safetensors keeps no order among several


def keep(result: str, weights: str, tensors: Mapping[str, Tensor], statistics: Statistics) -> Path:
    """Put a network into the folder of champions, `weights` being the hash of its tensors; return the file.

    Raises:
        InputError: it is a trial of a sweep, of another revision, or too large for git.
    """
    from safetensors.torch import save

    if "/" in result:
        raise InputError(f"--keep: found {result}, a trial of a sweep; allowed: an experiment")
    if "@" in result:
        raise InputError(f"--keep: found {result}, of another revision; allowed: an experiment as it is here")
    facts = json.dumps({"weights": weights, "statistics": asdict(statistics)}, ensure_ascii=False)
    content = save({name: tensor.contiguous() for name, tensor in tensors.items()}, {FACTS: facts})
    if len(content) > MOST:
        size, most = f"{len(content) / 1e6:.1f} MB", f"{MOST / 1e6:.0f} MB"
        raise InputError(f"--keep: {result} has {size} of weights; allowed in git: at most {most}")
    path = files.champion(result)
    files.write_bytes(path, content)
    return path


def find(result: str, weights: str | None) -> tuple[Path, Statistics] | None:
    """Return the file of a result and its statistics, if there is one with the weights that have this hash.

    Raises:
        InputError: the file is damaged.
    """
    path = files.champion(result)
    if "/" in result or not path.is_file():
        return None
    from safetensors import safe_open

    try:
        with safe_open(path, "pt") as file:
            facts = json.loads(file.metadata()[FACTS])
        return (path, Statistics(**facts["statistics"])) if facts["weights"] == weights else None
    except Exception as error:  # SafetensorError has no public base class
        raise InputError(f"{path}: unreadable ({error}); `git checkout {path}` brings it back") from None
