"""`convlab import`: your own images → one file in data/imported/NAME, which DVC keeps, and their facts."""

import hashlib
import importlib.util
import math
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from convlab import files
from convlab.config.explain import nearest, show
from convlab.data.card import unequal, write_card
from convlab.data.catalogue import Background, Dataset, card
from convlab.data.pictures import BRIGHT, border_of, to_pixels
from convlab.data.sources import md5
from convlab.errors import InputError
from convlab.own.sources import LabelledImage, count_by_class, read_source
from convlab.schema.datasets import DatasetEntry

FEWEST = 5  # images of a class: one to test, one or more to validate, and some to learn from
FEWEST_TEST = 1
LARGEST = 4 << 30  # bytes: what is trained on has to fit a device's memory


def import_images(declared: Mapping[str, DatasetEntry], name: str, console: Console) -> None:
    """Read, check and convert the images of a declared data set; nothing is written unless all are valid.

    Raises:
        InputError: no such declaration, or anything wrong with the images; one line.
    """
    if name not in declared:
        hint = nearest(name, declared) if declared else "; declare it in params.yaml under `datasets`"
        raise InputError(f"NAME: found {show(name)}{hint}")
    entry, where = declared[name], f"datasets.{name}"
    source = read_source(where, entry)
    train, test = split(source.train, source.test, entry)
    counts = {
        part: count_by_class(items, source.classes) for part, items in (("train", train), ("test", test))
    }
    _check_counts(where, counts)
    shape = (1 if entry.greyscale else 3, entry.size, entry.size)
    count = len(train) + len(test)
    if count * math.prod(shape) > LARGEST:
        raise InputError(f"{where}.size: {count:,} images of {shape} are more than {LARGEST:,} bytes")
    images = [_convert(where, items, shape, entry) for items in (train, test)]
    labels = [np.array([item.label for item in items], np.int64) for items in (train, test)]
    arrays: dict[str, NDArray[Any]] = {
        "train_images": images[0],
        "train_labels": labels[0],
        "test_images": images[1],
        "test_labels": labels[1],
    }
    path = files.IMPORTED / name / "images.safetensors"
    files.write_arrays(path, arrays)
    dataset = Dataset(
        shape=shape,
        max_value=255,
        classes=tuple(source.classes),
        train_images=len(train),
        flip_safe=entry.flip_safe,
        files={path.name: md5(path)},
        format="safetensors",
        background=background(images[0]),
        imported=True,
    )
    tracked = _dvc_add(path.parent)
    write_card(name, entry, dataset, counts)
    _say(name, dataset, counts, source.notes, _twice(*images), tracked, console)


def split(
    train: list[LabelledImage], test: list[LabelledImage] | None, entry: DatasetEntry
) -> tuple[list[LabelledImage], list[LabelledImage]]:
    """Return the training and the test images, each in an order that depends on the seed and the names alone.

    If the source has no test images, a share of each class is taken. An image that is added later moves at
    most one other of its class. The order is shuffled because the validation split may be the last of the
    training images.
    """

    def place(item: LabelledImage) -> bytes:
        return hashlib.sha256(os.fsencode(f"{entry.seed}:{item.key}")).digest()

    train = sorted(train, key=place)
    if test is not None:
        return train, sorted(test, key=place)
    kept, held = [], []
    sizes = Counter(item.label for item in train)
    wanted = {label: max(FEWEST_TEST, round(entry.test * count)) for label, count in sizes.items()}
    for item in train:
        if wanted[item.label]:
            wanted[item.label] -= 1
            held.append(item)
        else:
            kept.append(item)
    return kept, held


def background(images: NDArray[np.uint8]) -> Background:
    """Return whether all images [N, C, H, W] have a dark border, or a light one.

    All, since `convlab predict` inverts a picture with another border than these have.
    """
    light = np.array([border_of(image).mean() >= BRIGHT for image in images])
    if light.all():
        return "light"
    return "any" if light.any() else "dark"


def _check_counts(where: str, counts: dict[str, dict[str, int]]) -> None:
    for name, found in counts["train"].items():
        tested = counts["test"][name]
        if found + tested < FEWEST or tested < FEWEST_TEST or not found:
            raise InputError(
                f"{where}: found {found} training and {tested} test images of {name!r}, "
                f"{sum(map(sum, (part.values() for part in counts.values()))):,} images in all; "
                f"allowed: {FEWEST} or more of each class, of them {FEWEST_TEST} or more to test"
            )


def _convert(
    where: str, items: list[LabelledImage], shape: tuple[int, int, int], entry: DatasetEntry
) -> NDArray[np.uint8]:
    """Convert images to uint8 [N, C, H, W], in their order."""
    images = np.empty((len(items), *shape), np.uint8)
    quiet = not sys.stderr.isatty()
    console = Console(stderr=True)
    for position, item in enumerate(track(items, "images", transient=True, console=console, disable=quiet)):
        try:
            images[position] = to_pixels(item.open(), shape, entry.fit)
        except InputError as error:
            raise InputError(f"{where}: {error}; repair or remove it") from None
    return images


def _dvc_add(folder: Path) -> bool:
    """Let DVC track a folder; False where there is no DVC, or no repository of it."""
    if importlib.util.find_spec("dvc") is None or not (files.root() / ".dvc").is_dir():
        return False
    command = [sys.executable, "-m", "dvc", "add", "--quiet", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise InputError(f"`dvc add {folder}` failed: {reason}")
    return True


def _say(
    name: str,
    dataset: Dataset,
    counts: dict[str, dict[str, int]],
    notes: Sequence[str],
    twice: str | None,
    tracked: bool,
    console: Console,
) -> None:
    table = Table(title=f"{name}: images", title_justify="left")
    for column in ("class", *counts):
        table.add_column(column, justify="left" if column == "class" else "right")
    for label in dataset.classes:
        table.add_row(label, *(f"{part[label]:,}" for part in counts.values()))
    table.add_section()
    table.add_row("all", *(f"{sum(part.values()):,}" for part in counts.values()))
    console.print(table)
    channels, height, width = dataset.shape
    around = {"dark": "dark background", "light": "light background", "any": "no common background"}
    print(f"{'grey' if channels == 1 else 'colour'}, {height} × {width} pixels, {around[dataset.background]}")
    for note in notes:
        print(f"note: {note}")
    warnings = [unequal(counts["train"]), twice]
    for warning in filter(None, warnings):
        print(f"warning: {warning}")
    folder = files.IMPORTED / name
    print(f"{folder}/images.safetensors: MD5 {dataset.files['images.safetensors']}")
    if tracked:
        print(f"tracked by DVC; for git: {card(name)}, {folder}.dvc, {files.IMPORTED}/.gitignore")
    else:
        print(f"not tracked: DVC is not set up here; `dvc add {folder}` tracks it")
    print(
        f"next: an experiment with `dataset: {name}` in {files.PARAMS}, its name in `run`, then `dvc repro`"
    )


def _twice(train: NDArray[np.uint8], test: NDArray[np.uint8]) -> str | None:
    """Return how many test images are training images, too: their accuracy would measure memorisation."""
    seen = {image.tobytes() for image in train}
    count = sum(image.tobytes() in seen for image in test)
    if not count:
        return None
    return f"{count:,} test images are identical to a training image: their accuracy measures memorisation"
