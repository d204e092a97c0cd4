"""`convlab import`: .npz files and torchvision's sets become data sets, or are refused in a line."""

import hashlib
import io
import pickle
import re
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from importing import Run, arrays

from convlab.data.catalogue import DATASETS

pytest_plugins = ["importing"]


# -------------------------------------------------------------------------------------------------------- npz

CHANCE = np.random.default_rng(1)
GREY = CHANCE.integers(0, 256, (30, 10, 10), dtype=np.uint8)
LABELS = np.arange(30) % 3
NAMES = np.array(["x", "y", "z"])


def npz(tmp_path: Path, **content: Any) -> dict[str, Any]:
    np.savez_compressed(tmp_path / "own.npz", **content)
    return {"npz": "own.npz", "size": 10, "greyscale": True}


@pytest.mark.parametrize(
    "names",
    [
        ("train_images", "train_labels", "test_images", "test_labels"),
        ("x_train", "y_train", "x_test", "y_test"),
    ],
)
def test_arrays_with_test_images(run: Run, tmp_path: Path, names: tuple[str, ...]) -> None:
    content = dict(zip(names, (GREY[:24], LABELS[:24, None], GREY[24:], LABELS[24:, None]), strict=True))
    status, _, err = run(npz(tmp_path, **content))
    assert status == 0, err
    found = arrays()
    assert {image.tobytes() for image in found["train_images"]} == {image.tobytes() for image in GREY[:24]}
    for image, label in zip(found["test_images"], found["test_labels"], strict=True):
        assert any(np.array_equal(image[0], GREY[i]) and LABELS[i] == label for i in range(24, 30))
    assert DATASETS["own"].classes == ("0", "1", "2")


@pytest.mark.parametrize(
    ("names", "validation"),
    [
        (("train_images", "train_labels", "test_images", "test_labels"), ("val_images", "val_labels")),
        (("x_train", "y_train", "x_test", "y_test"), ("x_val", "y_val")),
    ],
)
def test_validation_images_join_the_training_images_and_nothing_is_left_out_without_a_word(
    run: Run, tmp_path: Path, names: tuple[str, ...], validation: tuple[str, str]
) -> None:
    parts = (GREY[:12], LABELS[:12, None], GREY[24:], LABELS[24:, None], GREY[12:24], LABELS[12:24])
    content = dict(zip((*names, *validation), parts, strict=True))
    status, out, err = run(npz(tmp_path, **content))
    assert status == 0, err
    assert "note: its 12 validation images are among the training images; `split` chooses anew\n" in out
    assert "left out" not in out
    found = arrays()
    assert {image.tobytes() for image in found["train_images"]} == {image.tobytes() for image in GREY[:24]}
    for image, label in zip(found["train_images"], found["train_labels"], strict=True):
        assert any(np.array_equal(image[0], GREY[i]) and LABELS[i] == label for i in range(24))
    status, out, err = run(
        npz(tmp_path, ids=LABELS, **{k: v for k, v in content.items() if k != validation[1]})
    )
    assert status == 0, err
    assert "validation images" not in out
    assert f"note: left out: the arrays ids, {validation[0]}\n" in out
    assert len(arrays()["train_images"]) == 12


def test_validation_images_are_checked_like_the_others(refused: Callable[..., str], tmp_path: Path) -> None:
    content = {"x_train": GREY, "y_train": LABELS, "x_test": GREY, "y_test": LABELS}
    told = refused(npz(tmp_path, **content, x_val=GREY, y_val=LABELS[:3]))
    assert "the validation labels are int64 [3] for 30 images" in told


@pytest.mark.parametrize("name", ["[cat]", ":cat:", "[bold]"])
def test_a_class_is_shown_by_the_name_that_it_has(run: Run, tmp_path: Path, name: str) -> None:
    status, out, err = run(npz(tmp_path, images=GREY, labels=LABELS, classes=[name, "y", "z"]))
    assert status == 0, err
    assert f"│ {name} " in out


def test_arrays_that_are_split_by_the_seed_with_names(run: Run, tmp_path: Path) -> None:
    colour = CHANCE.integers(0, 256, (30, 12, 10, 3), dtype=np.uint8)
    declaration = npz(tmp_path, images=colour, labels=LABELS, classes=["ant", "bee", "cat"])
    assert run(declaration | {"greyscale": False, "size": 8})[0] == 0
    assert arrays()["train_images"].shape == (24, 3, 8, 8)
    assert DATASETS["own"].classes == ("ant", "bee", "cat")


def test_labels_may_be_names(run: Run, tmp_path: Path) -> None:
    assert run(npz(tmp_path, images=GREY, labels=NAMES[LABELS]))[0] == 0
    assert DATASETS["own"].classes == ("x", "y", "z")


def test_labels_may_have_a_type_in_each_part(run: Run, tmp_path: Path) -> None:
    parts = {"x_train": GREY, "y_train": LABELS.astype(np.uint64), "x_test": GREY, "y_test": LABELS}
    assert run(npz(tmp_path, **parts))[0] == 0
    assert DATASETS["own"].classes == ("0", "1", "2")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"pictures": GREY}, "holds pictures; allowed: the arrays train_images, train_labels"),
        (
            {"images": GREY / 255, "labels": LABELS},
            "the train images are float64 [30, 10, 10]; allowed: uint8",
        ),
        ({"images": GREY[0], "labels": LABELS}, "the train images are uint8 [10, 10]"),
        (
            {"images": GREY[:, :0], "labels": LABELS},
            "the train images are uint8 [30, 0, 10]; allowed: uint8, [N, H, W] or [N, H, W, 3], of one pixel",
        ),
        ({"images": GREY[:, :, :0, None], "labels": LABELS}, "the train images are uint8 [30, 10, 0]"),
        (
            {"images": GREY, "labels": LABELS.astype(np.uint64) + np.uint64(2**63)},
            "found the train label 9223372036854775810; allowed: at most 9223372036854775807",
        ),
        ({"images": GREY, "labels": LABELS[:29]}, "the train labels are int64 [29] for 30 images"),
        ({"images": GREY, "labels": LABELS / 2}, "the train labels are float64"),
        (
            {"images": GREY, "labels": LABELS, "classes": ["a", "b"]},
            "labels from 0 to 2 for 2 names in `classes`",
        ),
        ({"images": GREY, "labels": LABELS, "classes": ["a", "b", "a"]}, "two classes are called 'a'"),
        ({"images": GREY, "labels": LABELS, "classes": ["a", "b/c", "d"]}, "found the class 'b/c'"),
        ({"images": GREY, "labels": LABELS * 0}, "found one class, '0'"),
        ({"images": GREY[:0], "labels": LABELS[:0]}, "found no class"),
        (
            {"images": GREY, "labels": NAMES[LABELS], "classes": ["a", "b", "c"]},
            "the train labels are names, so `classes` has no place",
        ),
        (
            {"x_train": GREY, "y_train": LABELS, "x_test": GREY, "y_test": NAMES[LABELS]},
            "labels are numbers (train) and names (test); allowed: numbers in all parts",
        ),
        (
            {"images": np.array([{}] * 30), "labels": LABELS},
            "is not an .npz of plain arrays (Object arrays cannot",
        ),
    ],
    ids=range(16),
)
def test_arrays_that_make_no_data_set(
    refused: Callable[..., str], tmp_path: Path, content: dict[str, Any], words: str
) -> None:
    assert words in refused(npz(tmp_path, **content))


def test_what_is_no_npz(refused: Callable[..., str], tmp_path: Path) -> None:
    declaration = {"npz": "own.npz", "size": 8}
    assert "which is not there" in refused(declaration)
    (tmp_path / "own.npz").write_bytes(b"plain text")
    assert "is not an .npz of plain arrays" in refused(declaration)
    npz(tmp_path, images=GREY, labels=LABELS)
    whole = (tmp_path / "own.npz").read_bytes()
    (tmp_path / "own.npz").write_bytes(whole[: len(whole) // 2])
    assert "is not an .npz of plain arrays" in refused(declaration)


def encrypted(whole: bytes) -> bytes:
    """Return a zip with the bit set that says a member is encrypted, in both places."""
    return re.sub(b"(PK\x03\x04.{2}|PK\x01\x02.{4}).", lambda found: found[1] + b"\x01", whole, flags=re.S)


def claiming(whole: bytes, shape: bytes) -> bytes:
    """Return a zip, stored plainly, whose images have another shape in their header, of the same length."""
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    head, tail = re.split(rb"\(30, 10, 10\)[^\n]*", members["images.npy"], maxsplit=1)
    room = len(members["images.npy"]) - len(head) - len(tail)
    members["images.npy"] = head + shape.ljust(room) + tail
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return written.getvalue()


def spoilt_lzma(whole: bytes) -> bytes:
    """Return a zip with members packed by LZMA, and their first bytes spoilt."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("images.npy", whole)
    place = written.getvalue().index(b"images.npy") + len("images.npy") + 12
    return written.getvalue()[:place] + bytes(40) + written.getvalue()[place + 40 :]


@pytest.mark.parametrize(
    ("damaged", "says"),
    [
        (encrypted, "is not an .npz of plain arrays (File 'images.npy' is encrypted"),
        (
            lambda whole: claiming(whole, b"(1000000000000000, 10, 10), }"),
            "own.npz does not fit into memory (Unable to allocate ",
        ),
        (lambda whole: claiming(whole, b"((((("), "is not an .npz of plain arrays ("),
        (spoilt_lzma, "is not an .npz of plain arrays (Corrupt input data"),
    ],
    ids=["encrypted", "a shape of petabytes", "a header that does not end", "LZMA"],
)
def test_an_npz_that_is_damaged_in_an_odd_way(
    refused: Callable[..., str], tmp_path: Path, damaged: Callable[[bytes], bytes], says: str
) -> None:
    declaration = npz(tmp_path, images=GREY, labels=LABELS)
    (tmp_path / "own.npz").write_bytes(damaged((tmp_path / "own.npz").read_bytes()))
    assert says in refused(declaration)


# ------------------------------------------------------------------------------------------------ torchvision
# Nothing is fetched: small files lie where torchvision looks for them first.


def idx(array: np.ndarray) -> bytes:
    return b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CONVLAB_MIRROR", str(tmp_path / "mirror"))
    (tmp_path / "mirror/torchvision").mkdir(parents=True)
    return tmp_path / "mirror/torchvision"


def write_idx(
    folder: Path, prefixes: tuple[str, str], first: int = 0, classes: int = 10
) -> dict[str, np.ndarray]:
    folder.mkdir(parents=True)
    found = {}
    for part, prefix, count in (("train", prefixes[0], 50), ("test", prefixes[1], 20)):
        images = CHANCE.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = (np.arange(count) % classes + first).astype(np.uint8)
        (folder / f"{prefix}-images-idx3-ubyte").write_bytes(idx(images))
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(idx(labels))
        found[part] = images
    return found


def test_kmnist(run: Run, mirror: Path) -> None:
    images = write_idx(mirror / "KMNIST/raw", ("train", "t10k"))
    status, _, err = run({"torchvision": "KMNIST", "size": 28, "greyscale": True, "flip_safe": False})
    assert status == 0, err
    found = arrays()
    assert found["train_images"].shape == (50, 1, 28, 28)
    assert {image.tobytes() for image in found["test_images"]} == {
        image.tobytes() for image in images["test"]
    }
    assert DATASETS["own"].classes[0] == "o"
    assert not DATASETS["own"].flip_safe


def test_the_letters_of_emnist_stand_upright_and_have_no_empty_class(run: Run, mirror: Path) -> None:
    prefixes = ("emnist-letters-train", "emnist-letters-test")
    images = write_idx(mirror / "EMNIST/raw", prefixes, first=1, classes=5)
    assert run({"torchvision": "EMNIST-letters", "size": 28, "greyscale": True})[0] == 0
    assert DATASETS["own"].classes == ("a", "b", "c", "d", "e")
    upright = {image.T.tobytes() for image in images["train"]}
    assert {image[0].tobytes() for image in arrays()["train_images"]} == upright


def test_cifar100(run: Run, mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torchvision = pytest.importorskip("torchvision")
    folder = mirror / "cifar-100-python"
    folder.mkdir()
    names = ["apple", "bear", "cup"]
    contents = {"meta": {"fine_label_names": names}}
    for part, count in (("train", 30), ("test", 9)):
        data = CHANCE.integers(0, 256, (count, 3072), dtype=np.uint8)
        contents[part] = {"data": data, "fine_labels": [number % 3 for number in range(count)]}
    digests = {}
    for name, content in contents.items():
        (folder / name).write_bytes(pickle.dumps(content))
        digests[name] = hashlib.md5((folder / name).read_bytes()).hexdigest()
    cifar = torchvision.datasets.CIFAR100
    monkeypatch.setattr(cifar, "train_list", [["train", digests["train"]]])
    monkeypatch.setattr(cifar, "test_list", [["test", digests["test"]]])
    monkeypatch.setattr(cifar, "meta", cifar.meta | {"md5": digests["meta"]})
    status, _, err = run({"torchvision": "CIFAR100", "size": 32})
    assert status == 0, err
    assert DATASETS["own"].classes == tuple(names)
    wanted = {row.tobytes() for row in contents["train"]["data"]}
    assert {image.tobytes() for image in arrays()["train_images"]} == wanted, "red, green, blue"


def test_svhn(run: Run, mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torchvision = pytest.importorskip("torchvision")
    from scipy.io import savemat

    svhn = torchvision.datasets.SVHN
    listed = dict(svhn.split_list)
    images = {}
    for part, count in (("train", 50), ("test", 20)):
        images[part] = CHANCE.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
        labels = np.arange(count)[:, None] % 10 + 1  # 10 stands for 0
        buffer = io.BytesIO()
        savemat(buffer, {"X": images[part].transpose(1, 2, 3, 0), "y": labels.astype(np.uint8)})
        url, name, _ = listed[part]
        (mirror / name).write_bytes(buffer.getvalue())
        listed[part] = [url, name, hashlib.md5(buffer.getvalue()).hexdigest()]
    monkeypatch.setattr(svhn, "split_list", listed)
    status, _, err = run({"torchvision": "SVHN", "size": 32})
    assert status == 0, err
    assert DATASETS["own"].classes == tuple("0123456789")
    wanted = {image.transpose(2, 0, 1).tobytes() for image in images["train"]}
    assert {image.tobytes() for image in arrays()["train_images"]} == wanted


@pytest.mark.usefixtures("mirror")
def test_a_set_that_cannot_be_fetched_says_where_to_lay_it(
    refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    torchvision = pytest.importorskip("torchvision")
    monkeypatch.setattr(torchvision.datasets.KMNIST, "mirrors", ["http://127.0.0.1:9/"])
    said = refused({"torchvision": "KMNIST", "size": 28})
    assert "datasets.own.torchvision: KMNIST could not be fetched" in said
    assert "MIRROR/torchvision/…" in said
