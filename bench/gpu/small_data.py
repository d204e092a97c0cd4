"""Data sets of the real formats and shapes with few, random images: whole pipelines in minutes."""

import gzip
import hashlib
import pickle
import re
import struct
from pathlib import Path

import numpy as np

from convlab.data.catalogue import DATASETS

CATALOGUE = Path("src/convlab/data/catalogue.py")


def write_small_data(folder: Path, train: int, test: int) -> None:
    """Write MNIST, Fashion-MNIST and CIFAR-10 of `train` (a multiple of 5) and `test` images below `folder`.

    Laid out as a mirror (`CONVLAB_MIRROR`), and as `data/raw`.
    """
    random = np.random.default_rng(0)
    for name in ("mnist", "fashion_mnist"):
        _write_idx_set(folder / name, {"train": train, "t10k": test}, random)
    _write_cifar(folder / "cifar10/cifar-10-batches-py", train, test, random)


def expect_small_data(repository: Path, mirror: Path, train: int) -> None:
    """Make a copy of the repository accept these as the published ones: checksums and numbers of images."""
    catalogue = repository / CATALOGUE
    text = catalogue.read_text(encoding="utf-8")
    for name, dataset in DATASETS.items():
        for file, published in dataset.files.items() if not dataset.embedded else ():
            text = text.replace(published, hashlib.md5((mirror / name / file).read_bytes()).hexdigest())
    catalogue.write_text(re.sub(r"train_images=\d0_000", f"train_images={train}", text), encoding="utf-8")


def _write_idx_set(folder: Path, counts: dict[str, int], random: np.random.Generator) -> None:
    folder.mkdir(parents=True)
    for part, count in counts.items():
        images = random.integers(0, 256, (count, 28, 28), np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
            path = folder / f"{part}-{kind}-ubyte.gz"
            path.write_bytes(gzip.compress(header + array.tobytes(), mtime=0))


def _write_cifar(folder: Path, train: int, test: int, random: np.random.Generator) -> None:
    folder.mkdir(parents=True)
    counts = {f"data_batch_{number}": train // 5 for number in range(1, 6)} | {"test_batch": test}
    for name, count in counts.items():
        batch = {
            "data": random.integers(0, 256, (count, 3072), np.uint8),
            "labels": [index % 10 for index in range(count)],
        }
        (folder / name).write_bytes(pickle.dumps(batch, protocol=2))
    (folder / "batches.meta").write_bytes(b"not read")
