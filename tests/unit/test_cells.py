"""The images behind the cells of a confusion matrix: each cell has its own, in a small picture."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from convlab import files
from convlab.data.dataset import load_split
from convlab.figures import cells

CLASSES = list("0123456789")


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def written():
    """Return cells.json, and cells.jpg as numbers from 0 to 255 [H, W, C]."""
    folder = files.PLOTS / "net/figures"
    picture = Image.open(folder / "cells.jpg")
    return files.read_json(folder / "cells.json"), np.atleast_3d(np.asarray(picture, dtype=int))


def test_each_cell_has_its_first_images(prepared, recipe):
    images, labels = load_split(prepared / recipe().data_key(), "test")
    predicted = torch.where(torch.arange(len(labels)) % 9 == 0, (labels + 1) % 10, labels)
    cells.write_cells("net", images, labels, predicted, CLASSES, 16)
    facts, pixels = written()
    (width, height), (columns, rows) = facts["size"], facts["grid"]
    assert pixels.shape == (rows * height, columns * width, 1)
    seen = 0
    for cell in facts["cells"]:
        label, guess = int(cell["actual"]), int(cell["predicted"])
        own = ((labels == label) & (predicted == guess)).nonzero().flatten().tolist()
        assert cell["images"] == own[: cells.PER_CELL]
        assert cell["first"] == seen
        for place, number in enumerate(cell["images"], seen):
            top, left = place // columns * height, place % columns * width
            shown = pixels[top : top + height, left : left + width, 0]
            wanted = images[number, 0].float() * 255 / 16
            assert np.abs(shown - wanted.numpy()).mean() < 12  # of JPEG's making
        seen += len(cell["images"])
    assert len(facts["cells"]) == len(set(zip(labels.tolist(), predicted.tolist(), strict=True)))


def test_of_each_class_the_first_image_that_was_recognised_can_be_read():
    images = torch.zeros(41, 1, 8, 8, dtype=torch.uint8)
    images[1], images[40] = 16, 8
    labels = torch.tensor([0, 0, *[2] * 38, 1])
    predicted = torch.tensor([1, 0, *[3] * 38, 1])
    cells.write_cells("net", images, labels, predicted, CLASSES, 16)
    found = dict(cells.right_images(files.PLOTS / "net/figures"))
    assert list(found) == ["0", "1"]
    for label, brightness in (("0", 255), ("1", 128)):
        pixels = np.asarray(Image.open(io.BytesIO(found[label])))
        assert pixels.shape == (8, 8)
        assert np.abs(pixels.astype(int) - brightness).max() < 6


def test_large_images_are_shrunk_and_keep_their_shape_and_their_colour():
    images = torch.zeros(3, 3, 200, 500, dtype=torch.uint8)
    images[:, 0] = 255
    labels = torch.tensor([0, 1, 1])
    cells.write_cells("net", images, labels, labels, CLASSES, 255)
    facts, pixels = written()
    assert facts["size"] == [64, 26]
    red, green, blue = pixels[:26, : 3 * 64].mean((0, 1))
    assert red > 245
    assert max(green, blue) < 10


def test_of_more_classes_than_the_book_draws_there_are_none():
    labels = torch.arange(cells.MOST_CLASSES + 1)
    images = torch.zeros(len(labels), 1, 2, 2, dtype=torch.uint8)
    cells.write_cells("net", images, labels, labels, [str(n) for n in labels.tolist()], 255)
    assert not (files.PLOTS / "net/figures").exists()
