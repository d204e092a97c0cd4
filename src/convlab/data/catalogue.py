"""The data sets: their files, checksums, addresses and classes.

Those of published data sets are constants; the MD5s are the published ones, which torchvision checks, too.
Those of imported data sets are read from datasets/NAME.json, which `convlab import` writes.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from convlab import files
from convlab.errors import InputError

# What the files of a data set are written in: readers/ has a file for each
Format = Literal["digits", "idx", "cifar10", "safetensors"]
# What is around the object in its images: an inverted picture is recognised by it
Background = Literal["dark", "light", "any"]


@dataclass(frozen=True)
class Archive:
    """A tar file that holds several of a data set's files."""

    name: str
    md5: str
    urls: tuple[str, ...]


@dataclass(frozen=True)
class Dataset:
    """What is known of a data set before it is fetched."""

    shape: tuple[int, int, int]  # channels, height, width
    max_value: int  # the brightest value that a pixel can take
    classes: tuple[str, ...]
    train_images: int  # as published, before a validation split is held out
    flip_safe: bool  # whether an image mirrored left to right is still one of its class
    files: dict[str, str]  # path below data/raw/<dataset>/ → MD5
    format: Format
    background: Background = "any"
    box: float | None = None  # the share of a side that the object fills, if all images are framed alike
    urls: tuple[str, ...] = ()  # a file's name is appended
    archive: Archive | None = None  # or the files come in one archive
    embedded: bool = False  # or they come inside scikit-learn
    imported: bool = False  # or `convlab import` left them in data/imported/


_DIGITS = tuple("0123456789")


def _idx_files(train_images: str, train_labels: str, test_images: str, test_labels: str) -> dict[str, str]:
    """Name the four files of MNIST's layout, with their MD5s."""
    return {
        "train-images-idx3-ubyte.gz": train_images,
        "train-labels-idx1-ubyte.gz": train_labels,
        "t10k-images-idx3-ubyte.gz": test_images,
        "t10k-labels-idx1-ubyte.gz": test_labels,
    }


PUBLISHED = {
    # 1,797 digits of 8×8 pixels: the test set of UCI's Optical Recognition of Handwritten Digits
    "digits": Dataset(
        shape=(1, 8, 8),
        max_value=16,
        classes=_DIGITS,
        train_images=1_437,
        flip_safe=False,
        files={"digits.csv.gz": "9b335364a7bfd63947c7480a5bd51f2d"},
        format="digits",
        background="dark",
        box=1.0,
        embedded=True,
    ),
    # LeCun, Cortes, Burges
    "mnist": Dataset(
        shape=(1, 28, 28),
        max_value=255,
        classes=_DIGITS,
        train_images=60_000,
        flip_safe=False,
        files=_idx_files(
            "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "d53e105ee54ea40749a09fcbcd1e9432",
            "9fb629c4189551a2d022fa330f9573f3",
            "ec29112dd5afa0611ce80d1b7f02629c",
        ),
        format="idx",
        background="dark",
        box=20 / 28,
        urls=(
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
            "http://yann.lecun.com/exdb/mnist/",
        ),
    ),
    # Zalando Research
    "fashion_mnist": Dataset(
        shape=(1, 28, 28),
        max_value=255,
        classes=(
            "T-shirt/top",
            "trouser",
            "pullover",
            "dress",
            "coat",
            "sandal",
            "shirt",
            "sneaker",
            "bag",
            "ankle boot",
        ),
        train_images=60_000,
        flip_safe=True,
        files=_idx_files(
            "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "25c81989df183df01b3e8a0aad5dffbe",
            "bef4ecab320f06d8554ea6380940ec79",
            "bb300cfdad3c16e7a12a480ee83cd310",
        ),
        format="idx",
        background="dark",
        box=1.0,
        urls=(
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        ),
    ),
    # Krizhevsky, Nair, Hinton
    "cifar10": Dataset(
        shape=(3, 32, 32),
        max_value=255,
        classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
        train_images=50_000,
        flip_safe=True,
        files={
            "cifar-10-batches-py/data_batch_1": "c99cafc152244af753f735de768cd75f",
            "cifar-10-batches-py/data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
            "cifar-10-batches-py/data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
            "cifar-10-batches-py/data_batch_4": "634d18415352ddfa80567beed471001a",
            "cifar-10-batches-py/data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
            "cifar-10-batches-py/test_batch": "40351d587109b95175f43aff81a1287e",
            "cifar-10-batches-py/batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
        },
        format="cifar10",
        archive=Archive(
            name="cifar-10-python.tar.gz",
            md5="c58f30108f718f92721af3b95e74349a",
            urls=("https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",),
        ),
    ),
}


class Catalogue(dict[str, Dataset]):
    """The published data sets by name; an imported one is looked up in datasets/ when it is asked for."""

    def __missing__(self, name: str) -> Dataset:
        """Return an imported data set.

        Raises:
            KeyError: there is none of this name.
            InputError: datasets/NAME.json does not hold what `convlab import` writes.
        """
        if name not in imported():
            raise KeyError(name)
        return _imported(card(name).resolve())

    def __contains__(self, name: object) -> bool:
        """Tell whether a data set is published or imported."""
        return super().__contains__(name) or name in imported()


DATASETS = Catalogue(PUBLISHED)


def card(name: str) -> Path:
    """Return the file with the facts of an imported data set."""
    return files.DATASET_CARDS / f"{name}.json"


def imported() -> list[str]:
    """Return the names of the imported data sets, sorted."""
    return sorted(path.stem for path in files.DATASET_CARDS.glob("*.json"))


@cache
def _imported(path: Path) -> Dataset:
    shown = files.DATASET_CARDS / path.name
    content = files.read_json(shown)
    try:
        return TypeAdapter(Dataset).validate_python(content["facts"])
    except (ValidationError, KeyError, TypeError):
        remedy = f"`git checkout {shown}` brings it back, `convlab import {path.stem}` makes it again"
        raise InputError(f"{shown}: not what `convlab import` writes; {remedy}") from None
