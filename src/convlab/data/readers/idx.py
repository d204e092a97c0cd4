"""MNIST's format: four gzipped idx files."""

import math
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from convlab.data.readers.raw import MEND, DataError, Raw, gunzip

LARGEST_IDX = 1 << 28  # bytes in one idx file: Fashion-MNIST's images are 47 MB


def read_idx_set(folder: Path) -> Raw:
    """Read the four files of a data set in MNIST's layout."""
    train_images, train_labels, test_images, test_labels = (
        read_idx(folder / f"{part}-ubyte.gz")
        for part in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    )
    return Raw(
        train_images[:, None],
        train_labels.astype(np.int64),
        test_images[:, None],
        test_labels.astype(np.int64),
    )


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Read a gzipped idx file of unsigned bytes: two zeros, type 8, the number of dimensions, each as a
    big-endian uint32, then the data (LeCun's format).

    Raises:
        DataError: damaged, short, long, or not of this format.
    """
    content = gunzip(path, LARGEST_IDX)
    if len(content) < 4 or content[:3] != b"\0\0\x08" or not 1 <= content[3] <= 4:
        raise DataError(f"{path}: not an idx file of unsigned bytes; {MEND}")
    dimensions = content[3]
    start = 4 + 4 * dimensions
    if len(content) < start:
        raise DataError(f"{path}: its header is cut off; {MEND}")
    shape = struct.unpack(f">{dimensions}I", content[4:start])
    if math.prod(shape) != len(content) - start:
        found = f"{len(content) - start:,} bytes of data where the header says {shape}"
        raise DataError(f"{path}: {found}; {MEND}")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
