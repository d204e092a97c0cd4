"""What every reader returns, with the checks that all share."""

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from convlab.data.catalogue import Dataset
from convlab.errors import InputError

MEND = "remove it and run `dvc repro`"


class DataError(InputError):
    """A data file violates its format."""


@dataclass(frozen=True)
class Raw:
    """A data set as published: images uint8 [N, C, H, W], labels int64 [N], for training and for testing."""

    train_images: NDArray[np.uint8]
    train_labels: NDArray[np.int64]
    test_images: NDArray[np.uint8]
    test_labels: NDArray[np.int64]


def checked(raw: Raw, dataset: Dataset, folder: Path) -> Raw:
    """Return what was read from `folder`, if its arrays fit each other and the catalogue.

    Raises:
        DataError: they do not.
    """
    for part, images, labels in (
        ("train", raw.train_images, raw.train_labels),
        ("test", raw.test_images, raw.test_labels),
    ):
        if labels.shape != images.shape[:1] or images.shape[1:] != dataset.shape or not labels.size:
            raise DataError(
                f"{folder}: {part}: labels of shape {labels.shape} for images of shape {images.shape}; {MEND}"
            )
        if labels.min() < 0 or labels.max() >= len(dataset.classes) or images.max() > dataset.max_value:
            raise DataError(f"{folder}: {part}: a label or a pixel is out of range; {MEND}")
    return raw


def gunzip(path: Path, largest: int) -> bytes:
    """Return the content of a gzip file of at most `largest` bytes when unpacked.

    Raises:
        DataError: it is missing, damaged or larger.
    """
    try:
        with gzip.open(path) as file:
            content = file.read(largest + 1)
    except FileNotFoundError:
        raise DataError(
            f"{path}: not there; `dvc repro download` fetches it for what `run` selects"
        ) from None
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: damaged ({error}); {MEND}") from None
    if len(content) > largest:
        raise DataError(f"{path}: larger than {largest:,} bytes when unpacked; {MEND}")
    return content
