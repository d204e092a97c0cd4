"""The readers, by the formats of the catalogue; this module does nothing else."""

from pathlib import Path
from typing import assert_never

from convlab.data.catalogue import DATASETS
from convlab.data.readers.cifar10 import read_cifar10
from convlab.data.readers.digits import read_digits
from convlab.data.readers.idx import read_idx_set
from convlab.data.readers.raw import Raw, checked
from convlab.data.readers.safetensors import read_safetensors


def read(name: str, folder: Path) -> Raw:
    """Read data set `name` from the raw folder (usually data/raw).

    Raises:
        DataError: a file is missing, damaged, or its arrays do not fit each other.
    """
    dataset, files = DATASETS[name], folder / name
    match dataset.format:
        case "digits":
            raw = read_digits(files)
        case "idx":
            raw = read_idx_set(files)
        case "cifar10":
            raw = read_cifar10(files)
        case "safetensors":
            raw = read_safetensors(files)
        case _:
            assert_never(dataset.format)
    return checked(raw, dataset, files)
