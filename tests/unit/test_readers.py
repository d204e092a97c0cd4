import dataclasses
import gzip
import hashlib
import os
import pickle
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from convlab.data.catalogue import DATASETS
from convlab.data.readers.cifar10 import parse_cifar_batch, read_cifar_batch
from convlab.data.readers.digits import DIGITS_TEST
from convlab.data.readers.idx import read_idx
from convlab.data.readers.raw import DataError, Raw
from convlab.data.readers.registry import read


def idx(array: NDArray[np.uint8]) -> bytes:
    return b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def random_bytes(*shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


# -------------------------------------------------------------------------------------------------------- idx


@pytest.mark.parametrize("shape", [(5,), (3, 4), (2, 3, 4), (2, 1, 3, 4), (0, 28, 28)])
def test_an_idx_file_reads_back_as_it_was_written(tmp_path: Path, shape: tuple[int, ...]) -> None:
    array = random_bytes(*shape)
    (tmp_path / "a.gz").write_bytes(gzip.compress(idx(array)))
    found = read_idx(tmp_path / "a.gz")
    assert found.dtype == np.uint8
    assert found.shape == shape
    assert np.array_equal(found, array)


WHOLE = idx(random_bytes(2, 3, 4))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "damaged"),
        (b"plain text", "damaged"),
        (WHOLE, "damaged"),  # not compressed
        (gzip.compress(WHOLE)[:-9], "damaged"),  # cut off
        (gzip.compress(WHOLE)[:-8] + b"\0" * 8, "damaged"),  # wrong checksum
        (gzip.compress(WHOLE) + b"more", "damaged"),
        (gzip.compress(b""), "not an idx file"),
        (gzip.compress(b"\0\0\x08"), "not an idx file"),
        (gzip.compress(b"\0\0\x0d" + WHOLE[3:]), "not an idx file"),  # floats
        (gzip.compress(b"\0\1\x08" + WHOLE[3:]), "not an idx file"),
        (gzip.compress(b"\0\0\x08\0" + WHOLE[4:]), "not an idx file"),  # no dimensions
        (gzip.compress(b"\0\0\x08\xff" + WHOLE[4:]), "not an idx file"),
        (gzip.compress(WHOLE[:10]), "header is cut off"),
        (gzip.compress(WHOLE[:-1]), "23 bytes of data where the header says (2, 3, 4)"),
        (gzip.compress(WHOLE + b"\0"), "25 bytes of data where the header says (2, 3, 4)"),
        (gzip.compress(idx(random_bytes(0)).replace(b"\0\0\0\0", b"\xff\xff\xff\xff")), "0 bytes of data"),
    ],
    ids=range(16),
)
def test_a_damaged_idx_file_is_a_data_error_that_names_it(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(content)
    with pytest.raises(DataError) as error:
        read_idx(path)
    assert str(error.value).startswith(f"{path}: ")
    assert reason in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_a_file_that_unpacks_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convlab.data.readers.idx.LARGEST_IDX", 1000)
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"\0" * 1001))
    with pytest.raises(DataError, match="larger than 1,000 bytes when unpacked"):
        read_idx(tmp_path / "a.gz")


def test_a_table_of_digits_that_unpacks_without_end_is_refused(tmp_path: Path) -> None:
    (tmp_path / "digits").mkdir()
    (tmp_path / "digits/digits.csv.gz").write_bytes(gzip.compress(b"0\n" * (1 << 20)))
    with pytest.raises(DataError, match="larger than 1,048,576 bytes when unpacked"):
        read("digits", tmp_path)


@pytest.mark.parametrize("name", DATASETS)
def test_a_data_set_that_is_not_there_says_how_to_fetch_it(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="not there; `dvc repro download` fetches it"):
        read(name, tmp_path)


MNIST = {
    "train-images-idx3": random_bytes(5, 28, 28),
    "train-labels-idx1": np.array([0, 9, 3, 3, 1], np.uint8),
    "t10k-images-idx3": random_bytes(2, 28, 28),
    "t10k-labels-idx1": np.array([7, 0], np.uint8),
}


@pytest.fixture
def mnist(tmp_path: Path) -> Callable[..., Raw]:
    """Write a tiny MNIST with changes, and read it."""

    def write_and_read(changes: dict[str, NDArray[np.uint8]]) -> Raw:
        (tmp_path / "mnist").mkdir()
        for name, array in (MNIST | changes).items():
            (tmp_path / f"mnist/{name}-ubyte.gz").write_bytes(gzip.compress(idx(array)))
        return read("mnist", tmp_path)

    return write_and_read


def test_mnist_is_uint8_images_of_one_channel_and_int64_labels(mnist: Callable[..., Raw]) -> None:
    raw = mnist({})
    assert np.array_equal(raw.train_images, MNIST["train-images-idx3"][:, None])
    assert np.array_equal(raw.test_images, MNIST["t10k-images-idx3"][:, None])
    assert raw.train_images.dtype == raw.test_images.dtype == np.uint8
    assert raw.train_labels.tolist() == [0, 9, 3, 3, 1]
    assert raw.test_labels.tolist() == [7, 0]
    assert raw.train_labels.dtype == raw.test_labels.dtype == np.int64


@pytest.mark.parametrize(
    "changes",
    [
        {"train-labels-idx1": MNIST["train-labels-idx1"][:4]},
        {"t10k-images-idx3": random_bytes(2, 28, 27)},
        {"train-images-idx3": random_bytes(5, 784)},
        {"train-images-idx3": MNIST["train-labels-idx1"]},
        {"train-labels-idx1": np.array([0, 10, 3, 3, 1], np.uint8)},
        {"train-labels-idx1": np.zeros((5, 28, 28), np.uint8)},
        {"train-images-idx3": random_bytes(0, 28, 28), "train-labels-idx1": random_bytes(0)},
    ],
    ids=["few labels", "narrow", "flat", "labels twice", "class 10", "images twice", "empty"],
)
def test_files_that_do_not_fit_each_other_are_a_data_error(
    mnist: Callable[..., Raw], changes: dict[str, NDArray[np.uint8]]
) -> None:
    with pytest.raises(DataError, match=r"mnist: (train|test): "):
        mnist(changes)


# ----------------------------------------------------------------------------------------------------- digits


def test_the_digits_are_1797_images_of_8_by_8(digits_raw: Raw) -> None:
    assert digits_raw.train_images.shape == (DATASETS["digits"].train_images, 1, 8, 8) == (1437, 1, 8, 8)
    assert digits_raw.test_images.shape == (DIGITS_TEST, 1, 8, 8)
    assert digits_raw.train_images.dtype == np.uint8
    assert digits_raw.train_images.max() == 16
    assert set(digits_raw.train_labels) == set(digits_raw.test_labels) == set(range(10))


def test_the_digits_are_those_of_scikit_learn(digits_raw: Raw) -> None:
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    assert np.array_equal(
        np.concatenate([digits_raw.train_images, digits_raw.test_images]).reshape(-1, 64), images
    )
    assert np.array_equal(np.concatenate([digits_raw.train_labels, digits_raw.test_labels]), labels)


def table(*rows: list[Any], count: int = 400) -> bytes:
    """A digits table of `count` blank zeros, the first rows replaced."""
    lines = [*rows, *[[0] * 65] * (count - len(rows))]
    return "\n".join(",".join(map(str, line)) for line in lines).encode()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        table([0] * 64),
        table(["x"] * 65),
        table(["nan"] * 65),
        table(["inf"] * 65),
        table([17, *[0] * 64]),
        table([*[0] * 64, 10]),
        table([-1, *[0] * 64]),
        table([261, *[0] * 64]),  # 5 in a byte
        table(["1" * 200_000, *[0] * 64]),
        table(count=DIGITS_TEST),
    ],
    ids=[
        "empty",
        "no text",
        "64 columns",
        "words",
        "nan",
        "inf",
        "pixel 17",
        "class 10",
        "pixel -1",
        "pixel 261",
        "a field too long for a csv reader",
        "nothing to train on",
    ],
)
def test_a_damaged_table_of_digits_is_a_data_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "digits").mkdir()
    (tmp_path / "digits/digits.csv.gz").write_bytes(gzip.compress(content))
    with pytest.raises(DataError):
        read("digits", tmp_path)


# ------------------------------------------------------------------------------------------------------ CIFAR


def cifar_batch(count: int = 4, **changes: Any) -> bytes:
    """A batch as a pickle of protocol 2, with the names that NumPy had when the real ones were written."""
    labels = [int(label) for label in np.arange(count) % 10]
    content = {"batch_label": "1 of 5", "labels": labels, "data": random_bytes(count, 3072)} | changes
    return pickle.dumps(content, protocol=2).replace(b"numpy._core", b"numpy.core")


def test_a_cifar_batch_is_images_by_channel_row_and_column() -> None:
    images, labels = parse_cifar_batch(cifar_batch(), "here")
    assert images.shape == (4, 3, 32, 32)
    assert images.dtype == np.uint8
    assert np.array_equal(images.reshape(4, 3072), random_bytes(4, 3072))
    assert labels.tolist() == [0, 1, 2, 3]
    assert labels.dtype == np.int64


def test_a_cifar_batch_that_todays_numpy_wrote_is_read_too() -> None:
    content = pickle.dumps({"labels": [1], "data": random_bytes(1, 3072)}, protocol=2)
    assert parse_cifar_batch(content, "here")[0].shape == (1, 3, 32, 32)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no pickle",
        cifar_batch()[:-100],
        pickle.dumps([1, 2], protocol=2),
        pickle.dumps({"labels": [1]}, protocol=2),
        cifar_batch(labels=[1, 2, 3]),
        cifar_batch(labels=["a", "b", "c", "d"]),
        cifar_batch(data=random_bytes(4, 3071)),
        cifar_batch(data=np.zeros((4, 3072), np.float32)),
    ],
    ids=range(9),
)
def test_what_is_no_cifar_batch_is_a_data_error_that_names_it(content: bytes) -> None:
    with pytest.raises(DataError, match=r"here: not a CIFAR-10 batch: \S"):
        parse_cifar_batch(content, "here")


def test_a_damaged_batch_does_not_take_gigabytes() -> None:
    # one opcode that says: remember this as number 400,000,000
    content = b"\x80\x02}r" + struct.pack("<I", 400_000_000) + b"."
    tracemalloc.start()
    with pytest.raises(DataError):
        parse_cifar_batch(content, "here")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


class Call:
    """Pickles as a call of a function, as an attacker's object does."""

    def __init__(self, function: Callable[..., Any], *arguments: Any):
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


def attacks(marker: Path) -> dict[str, Call]:
    write = f"open({str(marker)!r}, 'w')"
    return {
        "os.system": Call(os.system, f"touch {marker}"),
        "exec": Call(exec, write),
        "eval": Call(eval, write),
        "open": Call(open, str(marker), "w"),
        "getattr": Call(getattr, "", "join"),
        "np.save": Call(np.save, str(marker), 1),
    }


@pytest.mark.parametrize("attack", attacks(Path()))
@pytest.mark.parametrize("protocol", [2, 4])
def test_a_pickle_that_calls_anything_is_refused_and_does_not_run(
    tmp_path: Path, attack: str, protocol: int
) -> None:
    content = pickle.dumps({"labels": [1], "data": attacks(tmp_path / "ran")[attack]}, protocol=protocol)
    with pytest.raises(DataError, match="which no CIFAR-10 batch does"):
        parse_cifar_batch(content, "here")
    assert list(tmp_path.iterdir()) == []


def test_the_attack_would_work_on_a_plain_unpickler(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(attacks(tmp_path / "ran")["os.system"], protocol=2))
    assert (tmp_path / "ran").exists()


def test_a_refused_pickle_is_named(tmp_path: Path) -> None:
    content = pickle.dumps(attacks(tmp_path / "ran")["os.system"], protocol=2)
    with pytest.raises(DataError, match="here: "):
        parse_cifar_batch(content, "here")


@pytest.mark.parametrize("name", ["data_batch_1", "test_batch", "data_batch_6"])
def test_a_batch_with_another_md5_than_the_published_one_is_not_even_opened(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any) -> None:
        pytest.fail("it was opened")

    monkeypatch.setattr("convlab.data.readers.cifar10.parse_cifar_batch", never)
    path = tmp_path / name
    path.write_bytes(cifar_batch())
    with pytest.raises(DataError, match=f"{name}: its MD5 is not the published one, so it is not opened"):
        read_cifar_batch(path)


def test_cifar10_is_its_five_batches_in_order_and_the_test_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
    batches = {
        f"cifar-10-batches-py/{name}": cifar_batch(labels=[place] * 4) for place, name in enumerate(names)
    }
    for name, content in batches.items():
        (tmp_path / "cifar10" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "cifar10" / name).write_bytes(content)
    digests = {name: hashlib.md5(content).hexdigest() for name, content in batches.items()}
    monkeypatch.setitem(DATASETS, "cifar10", dataclasses.replace(DATASETS["cifar10"], files=digests))
    raw = read("cifar10", tmp_path)
    assert raw.train_images.shape == (20, 3, 32, 32)
    assert raw.train_labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4 + [3] * 4 + [4] * 4
    assert raw.test_images.shape == (4, 3, 32, 32)
    assert raw.test_labels.tolist() == [5] * 4
