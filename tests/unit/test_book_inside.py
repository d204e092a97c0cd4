"""What a report's page shows of images, weights and steps, and its note where they are missing."""

import json
import re
from contextlib import suppress
from pathlib import Path

import pytest
import results_world
import torch

from convlab import files
from convlab.book import chapter, contents, layers, site, studies
from convlab.config import load_params
from convlab.errors import InputError
from convlab.figures.cells import write_cells
from convlab.figures.weight_counts import write_weight_counts
from convlab.models.build import build_model
from convlab.models.summary import summarise
from convlab.results.folders import confusions


@pytest.fixture
def world(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    results_world.build(tmp_path)
    return tmp_path


def draw_cells(pairs):
    """Write the images of a matrix of the classes 0 to 2, given as (actual, predicted) of each image."""
    labels, predicted = torch.tensor(pairs).T
    images = torch.zeros(len(pairs), 1, 8, 8, dtype=torch.uint8)
    write_cells("digits", images, labels, predicted, ["0", "1", "2"], 16)


def test_a_page_says_that_its_images_are_not_here(world):
    site.write(Path("book"))
    text = Path("book/reports/R0.html").read_text()
    assert "Its images are not here" in text
    assert "data-actual=" not in text


def test_a_cell_of_a_matrix_leads_to_its_images(world):
    pairs = [(int(actual), int(guess)) for actual, guess in confusions("digits")]
    draw_cells(pairs)
    site.write(Path("book"))
    text = Path("book/reports/R0.html").read_text()
    assert 'data-actual="1" data-predicted="2"' in text
    found = re.search(r'<script type="application/json" id="cells-1">(.*?)</script>', text)
    assert found is not None
    facts = json.loads(found[1])
    (wrong,) = (cell for cell in facts["cells"] if (cell["actual"], cell["predicted"]) == ("1", "2"))
    assert [pairs[number] for number in wrong["images"]] == [(1, 2)] * 3
    copied = Path("book") / facts["address"]
    assert copied.read_bytes() == (files.PLOTS / "digits/figures/cells.jpg").read_bytes()


@pytest.mark.parametrize("order", ["other cells", "the same cells"])
def test_images_of_another_matrix_are_not_shown(world, order):
    pairs = [(int(actual), int(guess)) for actual, guess in confusions("digits")]
    draw_cells(pairs[::-1] if order == "the same cells" else [(0, 0), (1, 1), (2, 2)])
    site.write(Path("book"))
    assert "Its images are not here" in Path("book/reports/R0.html").read_text()


def test_the_slider_over_lambda_has_the_weights_that_were_counted(world):
    results_world.build(world, {"sweeps/strides/grid": {"l2": [0.1, 0.0]}})
    told = results_world.REPORTS.replace("strides-2-1_l2-0.0", "l2-0.0")
    files.write_text(Path("reports.yaml"), told)
    assert "the slider moves no histograms" in page_of_the_study()
    models = {f"l2-{value}": {"dense.weight": torch.full((2, 2), value + 1.0)} for value in (0.1, 0.0)}
    path = files.PLOTS / "strides/figures/histograms.json"
    write_weight_counts(path, ["dense"], models)
    found = re.search(r'id="slider-1">(.*?)</script>', page_of_the_study())
    assert found is not None
    slider = json.loads(found[1])
    assert [row["lambda"] for row in slider["rows"]] == ["0", "1e-1"]
    (layer,) = slider["layers"]
    assert (layer["name"], layer["reach"]) == ("dense", 1.1)
    assert [counts.index(4) for counts in layer["counts"]] == [39, 40]
    models.pop("l2-0.1")
    write_weight_counts(path, ["dense"], models)
    assert "the slider moves no histograms" in page_of_the_study()


def page_of_the_study():
    """Return the page of the report whose rows are the sweep's."""
    site.write(Path("book"))
    return Path("book/reports/R0.html").read_text()


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


BROKEN = {
    "nothing": lambda content: b"",
    "no text": lambda content: b"\xff\xfe\x00",
    "half of it": lambda content: content[: len(content) // 2],
    "[{}]": lambda content: b"[{}]",
    "NaN": lambda content: content.replace(b"0.5", b"NaN"),
    "another table": lambda content: b"a,b\n1,2\n",
}


@pytest.mark.parametrize("way", BROKEN)
@pytest.mark.parametrize("beside", ["metrics", "plots/digits", "plots/digits/figures", "docs"])
def test_a_damaged_file_is_named_in_a_line_or_leaves_the_rest_whole(world, beside, way):
    draw_cells([(int(actual), int(guess)) for actual, guess in confusions("digits")])
    files.write_text(files.PLOTS / "digits/figures/model.svg", '<svg viewBox="0 0 80.5 60"/>\n')
    steps = [{"iteration": n, "epoch": 1, "lr": 0.1, "loss": 0.5, "accuracy": 0.5} for n in (1, 2)]
    files.write_csv(files.PLOTS / "digits/iterations.csv", steps)
    pattern = "*/timing.json" if beside == "metrics" else "*.*"
    for path in sorted(path for path in Path(beside).glob(pattern) if path.is_file()):
        content = path.read_bytes()
        path.write_bytes(BROKEN[way](content))
        with suppress(InputError):
            site.write(Path("book"))
            path.write_bytes(content)  # what is damaged was left out
        if path.read_bytes() != content:
            with pytest.raises(InputError, match=path.name):
                site.write(Path("book"))
            path.write_bytes(content)
    site.write(Path("book"))


def test_histograms_that_are_none_are_named(world):
    files.write_json(files.PLOTS / "strides/figures/histograms.json", [{}])
    with pytest.raises(InputError, match=r"histograms\.json: 0\.name: Field required; `git checkout` or"):
        studies._histograms("strides", [{"result": "strides/l2-0.1"}])


def test_nothing_is_shown_of_a_result_whose_parts_do_not_belong_together(world):
    draw_cells([(int(actual), int(guess)) for actual, guess in confusions("digits")])
    curves = files.PLOTS / "digits/curves.csv"
    files.write_text(curves, curves.read_text().replace("0.8", "nan"))
    site.write(Path("book"))
    text = Path("book/reports/R0.html").read_text()
    said = "so nothing of it is shown:</b> plots/digits/curves.csv has nan as validation_loss of epoch 1"
    assert said in text
    assert said in Path("book/index.html").read_text()
    assert "Confusion: " not in text
    assert "Pairs, layer by layer" not in text
    assert "<figure>" not in text
    assert not Path("book/images").exists()
    files.write_text(files.PLOTS / "digits/figures/pairs.json", "{}")
    site.write(Path("book"))


def test_a_matrix_of_too_many_classes_leads_to_the_drawn_figure(world):
    matrix = [{"actual": str(n), "predicted": str(n if n else 1)} for n in range(21)]
    files.write_csv(files.PLOTS / "digits/confusion.csv", matrix)
    site.write(Path("book"))
    text = Path("book/reports/R0.html").read_text()
    assert "1 of 21 test images are classified wrongly. With 21 classes the matrix is too large" in text
    assert "<code>dvc repro</code> draws it" in text
    results_world.picture(files.PLOTS / "digits/figures/confusion.png")
    site.write(Path("book"))
    text = Path("book/reports/R0.html").read_text()
    assert '<a href="../images/digits/confusion.webp">the drawn figure</a> has it' in text
    assert Path("book/images/digits/confusion.webp").is_file()


def test_the_numbers_of_curves_have_the_epoch_that_was_kept(world):
    seeds = chapter.data(contents.load())["digits"]["seeds"]
    kept = [(one["seed"], one["best_epoch"]) for one in files.read_json(files.trainings("digits"))]
    assert [(seed["seed"], seed["best"]) for seed in seeds] == kept
