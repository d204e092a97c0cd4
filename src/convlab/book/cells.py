"""The test images behind the cells of a confusion matrix, in a file that is loaded when a cell is opened."""

import math
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convlab import files
from convlab.data.catalogue import DATASETS
from convlab.data.readers.raw import DataError
from convlab.data.readers.registry import read
from convlab.errors import InputError
from convlab.results.single_result_claims import confusions

PER_CELL = 12  # images of each cell that are shown: the first, in the order of the test set
COLUMNS = 40
LARGEST = 16_000  # pixels a side; WebP allows 16,383


def cells(name: str, dataset: str, folder: Path) -> dict[str, Any] | None:
    """Put the images of a matrix into the book's folder, and return where each cell's are.

    `places` maps "ACTUAL|PREDICTED" to pairs: the position in the file, row by row, and the index in the test
    set. None if the data set is not here, or its labels are not those of the matrix.
    """
    pairs = confusions(name)
    found = _test_images(dataset) if dataset in DATASETS else None
    if found is None:
        return None
    images, labels = found
    classes = DATASETS[dataset].classes
    if [actual for actual, _ in pairs] != [classes[label] for label in labels]:
        return None
    places: dict[str, list[tuple[int, int]]] = {}
    chosen: list[int] = []
    for number, pair in enumerate(pairs):
        own = places.setdefault("|".join(pair), [])
        if len(own) < PER_CELL:
            own.append((len(chosen), number))
            chosen.append(number)
    target = folder / "images" / name / "cells.webp"
    step = max(
        1, math.ceil(max(COLUMNS * images.shape[3], len(chosen) / COLUMNS * images.shape[2]) / LARGEST)
    )
    shrunk = images[chosen][..., ::step, ::step]
    rows = _write(shrunk, DATASETS[dataset].max_value, target)
    height, width = shrunk.shape[2:]
    address = target.relative_to(folder).as_posix()
    return {"address": address, "size": [width, height], "grid": [COLUMNS, rows], "places": places}


@cache
def _test_images(dataset: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]] | None:
    try:
        raw = read(dataset, files.RAW)
    except (DataError, InputError):
        return None
    return raw.test_images, raw.test_labels


def _write(images: NDArray[np.uint8], largest: int, target: Path) -> int:
    """Write images [N, C, H, W] side by side as WebP; return how many rows they take."""
    from PIL import Image

    count, channels, height, width = images.shape
    rows = -(-count // COLUMNS)
    sheet = np.zeros((rows * COLUMNS, channels, height, width), np.uint8)
    sheet[:count] = images.astype(np.uint16) * 255 // largest
    sheet = sheet.reshape(rows, COLUMNS, channels, height, width).transpose(0, 3, 1, 4, 2)
    pixels = sheet.reshape(rows * height, COLUMNS * width, channels)
    target.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.squeeze()).convert("RGB").save(target, quality=88, method=4)
    return rows
