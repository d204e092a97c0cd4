"""Read the raw files of a data set into uint8 images and integer labels, checking every length on the way."""

import csv
import gzip
import io
import math
import pickle
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, assert_never

import numpy as np
from numpy.typing import NDArray

from convlab.data.catalogue import DATASETS
from convlab.data.sources import md5
from convlab.errors import InputError
from convlab.files import read_tensors

MEND = "remove it and run `dvc repro`"
DIGITS_TEST = 360  # the last fifth, by other writers than the first: scikit-learn gives no split of its own
LARGEST_IDX = 1 << 28  # bytes in one idx file: Fashion-MNIST's images are 47 MB
LARGEST_TABLE = 1 << 20  # bytes in the table of digits, which takes half as many


class DataError(InputError):
    """A data file violates its format."""


@dataclass(frozen=True)
class Raw:
    """A data set as published: images uint8 [N, C, H, W], labels int64 [N], for training and for testing."""

    train_images: NDArray[np.uint8]
    train_labels: NDArray[np.int64]
    test_images: NDArray[np.uint8]
    test_labels: NDArray[np.int64]


def read(name: str, folder: Path) -> Raw:
    """Read data set `name` from the raw folder (usually data/raw).

    Raises:
        DataError: a file is missing, damaged, or its arrays do not fit each other.
    """
    dataset = DATASETS[name]
    match dataset.format:
        case "digits":
            raw = _read_digits(folder / name)
        case "idx":
            raw = _read_idx_set(folder / name)
        case "cifar10":
            raw = _read_cifar10(folder / name)
        case "safetensors":
            raw = _read_safetensors(folder / name)
        case _:
            assert_never(dataset.format)
    for part, images, labels in (
        ("train", raw.train_images, raw.train_labels),
        ("test", raw.test_images, raw.test_labels),
    ):
        if labels.shape != images.shape[:1] or images.shape[1:] != dataset.shape or not labels.size:
            raise DataError(
                f"{folder / name}: {part}: labels of shape {labels.shape} for images of shape {images.shape}"
                f"; {MEND}"
            )
        if labels.min() < 0 or labels.max() >= len(dataset.classes) or images.max() > dataset.max_value:
            raise DataError(f"{folder / name}: {part}: a label or a pixel is out of range; {MEND}")
    return raw


def _read_idx_set(folder: Path) -> Raw:
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
    content = _gunzip(path, LARGEST_IDX)
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


def _read_digits(folder: Path) -> Raw:
    path = folder / "digits.csv.gz"
    try:
        rows = [
            [int(float(value)) for value in row]
            for row in csv.reader(_gunzip(path, LARGEST_TABLE).decode().splitlines())
        ]
        table = np.array(rows, np.int64)
        if table.ndim != 2 or table.shape[1] != 65:
            raise ValueError(f"a table of shape {table.shape}, 65 columns wanted")
        if table.min() < 0 or table.max() > 16:
            raise ValueError("a value is out of range")
        images, labels = table[:, :64].astype(np.uint8).reshape(-1, 1, 8, 8), table[:, 64]
    except (ValueError, OverflowError, csv.Error) as error:
        raise DataError(f"{path}: not the table of digits: {error}; {MEND}") from None
    return Raw(images[:-DIGITS_TEST], labels[:-DIGITS_TEST], images[-DIGITS_TEST:], labels[-DIGITS_TEST:])


def _gunzip(path: Path, largest: int) -> bytes:
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


def _read_safetensors(folder: Path) -> Raw:
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


def _read_cifar10(folder: Path) -> Raw:
    batches = folder / "cifar-10-batches-py"
    train = [read_cifar_batch(batches / f"data_batch_{number}") for number in range(1, 6)]
    test_images, test_labels = read_cifar_batch(batches / "test_batch")
    return Raw(
        np.concatenate([images for images, _ in train]),
        np.concatenate([labels for _, labels in train]),
        test_images,
        test_labels,
    )


def read_cifar_batch(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Read one CIFAR-10 batch: images uint8 [N, 3, 32, 32], labels int64 [N].

    The file is a pickle, so it is verified first, and then opened by an unpickler that only builds arrays.

    Raises:
        DataError: its MD5 is not the published one, or it does not hold a batch.
    """
    digest = DATASETS["cifar10"].files.get(f"cifar-10-batches-py/{path.name}")
    if not path.is_file():
        raise DataError(f"{path}: not there; `dvc repro download` fetches it for what `run` selects")
    if md5(path) != digest:
        raise DataError(f"{path}: its MD5 is not the published one, so it is not opened; {MEND}")
    return parse_cifar_batch(path.read_bytes(), str(path))


def parse_cifar_batch(content: bytes, origin: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Parse a CIFAR-10 batch from its bytes, with an unpickler that only builds plain values and arrays.

    Raises:
        DataError: it is not a batch.
    """
    try:
        batch = _ArraysOnly(io.BytesIO(content), encoding="latin1").load()
        images = np.asarray(batch["data"])
        labels = np.asarray(batch["labels"], np.int64)
        if images.dtype != np.uint8 or images.shape != (len(labels), 3072):
            raise ValueError(f"images are {images.dtype} {images.shape} for {len(labels)} labels")
    except Exception as error:  # a damaged pickle can raise anything
        raise DataError(f"{origin}: not a CIFAR-10 batch: {str(error) or type(error).__name__}") from None
    return images.reshape(-1, 3, 32, 32), labels


class _ArraysOnly(pickle._Unpickler):
    """An unpickler that can build NumPy arrays and plain values, and nothing else.

    The one written in Python: on a pickle with one wrong byte, that in C allocates gigabytes for its memo.
    """

    ALLOWED = (("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode"))

    def find_class(self, module: str, name: str) -> Any:
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name == "_reconstruct":
            return np._core.multiarray._reconstruct  # type: ignore[attr-defined]
        if (module, name) in self.ALLOWED:
            return super().find_class(module, name)
        raise DataError(f"a pickle asks for {module}.{name}, which no CIFAR-10 batch does; it is not opened")
