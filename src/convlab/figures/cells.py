"""The test images behind each cell of a confusion matrix, side by side in one picture, with where each is.

The book shows them when a cell is clicked; the prepared data is not in git, and this small picture is.
"""

import io
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from convlab import files

MOST_CLASSES = 20  # of a matrix that the book draws as a table
PER_CELL = 12  # images of each cell: the first, in the order of the test set
COLUMNS = 40
LARGEST = 64  # pixels a side of an image: the book shows it no larger than this
QUALITY = 80  # of JPEG, the smallest format that DVC's page of plots shows as well


def write_cells(
    name: str, images: Tensor, labels: Tensor, predicted: Tensor, classes: list[str], largest: int
) -> None:
    """Write cells.jpg and cells.json of an experiment; nothing where there are too many classes.

    `images`: uint8 [N, C, H, W] up to `largest`; `labels`, `predicted`: int64 [N]. In cells.json, a cell's
    `images` are indices in the test set; in the picture they follow each other from the place `first`.
    """
    if len(classes) > MOST_CLASSES:
        return
    cells: dict[tuple[int, int], list[int]] = {}
    for number, cell in enumerate(zip(labels.tolist(), predicted.tolist(), strict=True)):
        own = cells.setdefault(cell, [])
        if len(own) < PER_CELL:
            own.append(number)
    chosen: list[int] = []
    found = []
    for (label, guess), own in sorted(cells.items()):
        names = {"actual": classes[label], "predicted": classes[guess]}
        found.append({**names, "first": len(chosen), "images": own})
        chosen += own
    pixels = _small(images[chosen], largest)
    height, width = pixels.shape[2:]
    facts = {"size": [width, height], "grid": [COLUMNS, math.ceil(len(chosen) / COLUMNS)], "cells": found}
    folder = files.PLOTS / name / "figures"
    files.write_bytes(folder / "cells.jpg", _side_by_side(pixels))
    files.write_json(folder / "cells.json", facts)


def right_images(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield each class of which an image was recognised, and the first such image as PNG."""
    facts = files.read_json(folder / "cells.json")
    width, height = facts["size"]
    with Image.open(folder / "cells.jpg") as picture:
        for cell in facts["cells"]:
            if cell["actual"] == cell["predicted"]:
                row, column = divmod(cell["first"], facts["grid"][0])
                left, top = column * width, row * height
                buffer = io.BytesIO()
                picture.crop((left, top, left + width, top + height)).save(buffer, "PNG")
                yield cell["actual"], buffer.getvalue()


def _small(images: Tensor, largest: int) -> NDArray[np.uint8]:
    """Return images from 0 to 255, those that are too large shrunk by averaging."""
    pixels = images.float() * 255 / largest
    scale = LARGEST / max(images.shape[2:])
    if scale < 1:
        size = [max(1, round(side * scale)) for side in images.shape[2:]]
        pixels = F.interpolate(pixels, size, mode="area")
    return pixels.round().byte().numpy()


def _side_by_side(images: NDArray[np.uint8]) -> bytes:
    """Return images [N, C, H, W] as one JPEG, with COLUMNS of them in a row."""
    count, channels, height, width = images.shape
    rows = math.ceil(count / COLUMNS)
    sheet = np.zeros((rows * COLUMNS, channels, height, width), np.uint8)
    sheet[:count] = images
    sheet = sheet.reshape(rows, COLUMNS, channels, height, width).transpose(0, 3, 1, 4, 2)
    picture = Image.fromarray(sheet.reshape(rows * height, COLUMNS * width, channels).squeeze())
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=QUALITY, optimize=True)
    return buffer.getvalue()
