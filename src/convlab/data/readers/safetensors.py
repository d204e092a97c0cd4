"""Imported data sets: one safetensors file, which `convlab import` writes."""

from pathlib import Path

import numpy as np

from convlab.data.readers.raw import MEND, DataError, Raw
from convlab.files import read_tensors


def read_safetensors(folder: Path) -> Raw:
    """Read what `convlab import` writes: the arrays of a `Raw`, by their names in it."""
    path = folder / "images.safetensors"
    arrays = {name: tensor.numpy() for name, tensor in read_tensors(path).items()}
    try:
        raw = Raw(**arrays)
    except TypeError:
        raise DataError(f"{path}: not the arrays that `convlab import` writes; {MEND}") from None
    for name, array in arrays.items():
        wanted = np.uint8 if name.endswith("images") else np.int64
        if array.dtype != wanted:
            raise DataError(f"{path}: {name} are {array.dtype}, {np.dtype(wanted)} wanted; {MEND}")
    return raw
