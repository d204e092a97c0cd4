"""CIFAR-10's format: six pickles, which are opened without running anything."""

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convlab.data.catalogue import DATASETS
from convlab.data.readers.raw import MEND, DataError, Raw
from convlab.data.sources import md5


def read_cifar10(folder: Path) -> Raw:
    """Read the five training batches and the test batch."""
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
