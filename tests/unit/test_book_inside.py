"""What a report's page shows of images, weights and steps, and its note where they are missing."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import results_world
from PIL import Image

from convlab import files
from convlab.book import cells, chapter, contents, layers, site, studies
from convlab.config import load_params
from convlab.data.catalogue import DATASETS
from convlab.data.readers.registry import read
from convlab.data.sources import fetch
from convlab.models.build import build_model
from convlab.models.summary import summarise


@pytest.fixture
def world(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    cells._test_images.cache_clear()
    results_world.build(tmp_path)
    return tmp_path


def test_a_page_says_that_its_images_are_not_here(world):
    site.write(Path("book"))
    text = Path("book/reports/R0.html").read_text()
    assert "Its images are not here" in text
    assert "data-cell=" not in text


def test_each_cell_has_its_own_test_images(world):
    fetch("digits", files.RAW, mirror=None)
    raw = read("digits", files.RAW)
    classes = DATASETS["digits"].classes
    guesses = [(label + (number % 9 == 0)) % 10 for number, label in enumerate(raw.test_labels.tolist())]
    rows = [
        {"actual": classes[label], "predicted": classes[guess]}
        for label, guess in zip(raw.test_labels, guesses, strict=True)
    ]
    files.write_csv(files.PLOTS / "digits/confusion.csv", rows)
    found = cells.cells("digits", "digits", world)
    assert found is not None
    pixels = np.asarray(Image.open(world / found["address"]).convert("L"), dtype=int)
    width, height = found["size"]
    columns, _ = found["grid"]
    for cell, places in found["places"].items():
        actual, predicted = cell.split("|")
        assert len(places) <= cells.PER_CELL
        for place, number in places:
            assert (rows[number]["actual"], rows[number]["predicted"]) == (actual, predicted)
            top, left = place // columns * height, place % columns * width
            wanted = raw.test_images[number, 0].astype(int) * 255 // 16
            shown = pixels[top : top + height, left : left + width]
            assert np.abs(shown - wanted).mean() < 12  # of WebP's making
    site.write(Path("book"))
    assert 'data-cell="1|2"' in Path("book/reports/R0.html").read_text()


def test_large_images_are_shrunk_to_what_one_file_can_hold(world, monkeypatch):
    fetch("digits", files.RAW, mirror=None)
    raw = read("digits", files.RAW)
    names = [DATASETS["digits"].classes[label] for label in raw.test_labels]
    files.write_csv(files.PLOTS / "digits/confusion.csv", [{"actual": n, "predicted": n} for n in names])
    monkeypatch.setattr(cells, "LARGEST", 100)  # 40 digits of 8 pixels in a row are 320
    found = cells.cells("digits", "digits", world)
    assert found is not None
    assert found["size"] == [2, 2]
    assert max(Image.open(world / found["address"]).size) <= 100


def test_images_whose_labels_are_not_the_matrix_are_not_shown(world):
    fetch("digits", files.RAW, mirror=None)
    assert cells.cells("digits", "digits", world) is None


def test_steps_are_means_of_as_many_points_as_a_page_can_draw(world):
    rows = [{"iteration": n, "epoch": 1, "lr": 0.1, "loss": n, "accuracy": 0.5} for n in range(1, 1001)]
    files.write_csv(files.PLOTS / "digits/iterations.csv", rows)
    steps = contents.steps("digits", 300)
    assert len(steps["loss"]) == 250
    assert steps["loss"][0] == steps["iteration"][0] == 2.5
    data = chapter.data(contents.load())
    assert data["digits"]["steps"] == steps
    assert "steps" not in data["strides/strides-2-1_l2-0.0"]


def test_pairs_are_drawn_layer_by_layer(world):
    site.write(Path("book"))
    text = Path("book/reports/R0.html").read_text()
    found = re.search(r'<script type="application/json" id="pairs-1">(.*?)</script>', text)
    assert found is not None
    rows = json.loads(found[1])["data"]["values"]
    assert {row["layer"] for row in rows} == {"input", "block1_conv1"}
    assert studies.distances("strides") is None


def test_the_layers_are_those_of_the_network_that_was_trained(world):
    (digits,) = (one for name in ("digits", "strides") if (one := layers.layers(name)))
    experiment = load_params(files.PARAMS).experiments["digits"]
    summary = summarise(build_model(experiment, [1, 8, 8], 10), [1, 8, 8])
    assert [row[0] for row in digits["rows"]] == ["input", *(layer.name for layer in summary.layers)]
    assert digits["parameters"] == f"{summary.trainable_parameters:,}"
    site.write(Path("book"))
    text = Path("book/reports/R0.html").read_text()
    assert f"<code>digits</code>: {digits['parameters']} parameters, {summary.macs:,} multiply" in text
    for layer, kind, shape, *_ in digits["rows"]:
        assert f'<code>{layer}</code></th><td>{kind}</td><td class="n">{shape}</td>' in text


@pytest.mark.parametrize(
    ("number", "text"), [(0.0, "0"), (1e-5, "1e-5"), (0.0005, "5e-4"), (0.01, "1e-2"), (2.5e-4, "2.5e-4")]
)
def test_a_penalty_is_written_as_the_reports_do(number: float, text: str) -> None:
    assert studies.penalty_text(number) == text


def test_a_grid_is_in_the_order_of_its_strides_and_kernels() -> None:
    texts = ["[9, 9]", "[3, 3]", "[[2, 2], 3]", "2", "[15, 15]"]
    assert sorted(texts, key=studies._sizes) == ["2", "[[2, 2], 3]", "[3, 3]", "[9, 9]", "[15, 15]"]
