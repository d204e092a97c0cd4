"""`convlab predict`: a trained network by name, on the user's own images."""

import csv
import io
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import result
import torch
from PIL import Image
from predicting import spoil
from training import Command

from convlab import files
from convlab.data import catalogue
from convlab.data.catalogue import card
from convlab.data.dataset import Prepared
from convlab.data.preprocess import prepare
from convlab.data.readers.raw import Raw
from convlab.errors import InputError
from convlab.figures.explained import explained
from convlab.figures.style import styled
from convlab.models.build import build_model
from convlab.models.weights import hash_weights
from convlab.networks.predict import predict
from convlab.networks.trained import _statistics, load_trained, trained_here
from convlab.pipeline.identity import facts_key, facts_of
from convlab.schema import Experiment

pytest_plugins = ["predicting"]
pytestmark = pytest.mark.usefixtures("here")


@pytest.mark.usefixtures("here")
def test_pictures_of_test_images_get_the_probabilities_that_the_evaluation_gives(digits: Prepared) -> None:
    trained = load_trained("digits")
    found = predict(trained, [Path(f"pictures/{number:02}.png") for number in range(20)])
    images = digits.test.images[:20]
    assert all(np.array_equal(one.pixels, image.numpy()) for one, image in zip(found, images, strict=True))
    with torch.inference_mode():
        wanted = trained.model(digits.statistics.transform()(images)).softmax(1)
    assert torch.allclose(torch.stack([one.probabilities for one in found]), wanted, atol=1e-6)
    right = [int(one.best[0][0]) == label for one, label in zip(found, digits.test.labels[:20], strict=True)]
    assert sum(right) > 15


def test_a_picture_is_a_line_and_the_network_one_more(convlab: Command) -> None:
    status, out, _ = convlab("predict", "pictures/00.png", "--model", "digits")
    assert status == 0
    picture, network = out.splitlines()
    assert picture.startswith("pictures/00.png: ")
    assert "% (then " in picture
    assert network.startswith("by digits, trained on digits, ")
    assert re.search(r", validation accuracy \d+\.\d\d%$", network)


def test_dark_on_light_is_said(convlab: Command) -> None:
    image = Image.open("pictures/00.png")
    Image.eval(image.resize((80, 80)), lambda value: 255 - value).save("paper.jpg")
    _, out, _ = convlab("predict", "paper.jpg", "--model", "digits")
    assert "inverted (dark on light, where digits is light on dark); cut out and centred as in digits" in out


@pytest.mark.parametrize("colour", ["white", "grey", "black"])
def test_a_blank_picture_gets_no_class(convlab: Command, here: Path, colour: str) -> None:
    Image.new("RGB", (90, 120), colour).save("blank.png")
    _, out, _ = convlab("predict", "blank.png", "pictures/00.png", "--model", "digits")
    blank, picture, _ = out.splitlines()
    assert blank == "blank.png: nothing stands out in it"
    assert "% (then " in picture
    _, out, _ = convlab("predict", "blank.png", "--model", "digits", "--json")
    (found,) = json.loads(out)["predictions"]
    assert found == {
        "image": "blank.png",
        "class": None,
        "probability": None,
        "inverted": False,
        "framed": False,
        "probabilities": None,
    }
    asked = ("--model", "digits", "--csv", "table.csv", "--explain", "why.png")
    status, _, err = convlab("predict", "blank.png", "pictures/00.png", *asked)
    assert status == 0, err
    first, second = csv.DictReader((here / "table.csv").open())
    assert (first["class"], first["probability"]) == ("", "")
    assert second["class"]
    assert second["probability"]


def test_a_folder_gives_csv_and_several_pictures_do_on_demand(convlab: Command, here: Path) -> None:
    _, out, _ = convlab("predict", "pictures", "--model", "digits")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["image"] for row in rows] == [f"pictures/{number:02}.png" for number in range(20)]
    assert set(rows[0]) == {"image", "class", "probability", "inverted", "framed"}
    _, out, _ = convlab("predict", "pictures", "--model", "digits", "--csv", "table.csv")
    assert out == "written: table.csv\n"
    assert list(csv.DictReader((here / "table.csv").open())) == rows


def test_json_has_every_probability(convlab: Command) -> None:
    _, out, _ = convlab(
        "predict", "pictures/00.png", "pictures/01.png", "--model", "digits@champion", "--json"
    )
    content = json.loads(out)
    assert content["model"] == content["dataset"] == "digits"
    assert content["weights"] == hash_weights(load_trained("digits").model)
    for found in content["predictions"]:
        assert sum(found["probabilities"].values()) == pytest.approx(1, abs=1e-4)
        assert next(iter(found["probabilities"])) == found["class"]


def test_the_explanation_is_a_picture(convlab: Command, here: Path) -> None:
    status, out, _ = convlab("predict", "pictures/00.png", "--model", "digits", "--explain", "why.png")
    assert status == 0
    assert out.splitlines()[-1] == "written: why.png"
    with Image.open(here / "why.png") as image:
        assert image.width > 800


def test_no_name_is_read_as_mathematics(convlab: Command, here: Path) -> None:
    statistics = load_trained("digits").statistics
    (here / "pictures/00.png").rename(here / "$\\oops$ {.png")
    (prediction,) = predict(load_trained("digits"), [here / "$\\oops$ {.png"])
    named = replace(prediction, classes=[f"${name} to $1{name}_" for name in statistics.classes])
    with styled():
        figure = explained("digits", load_trained("digits").model, statistics, [named])
        figure.canvas.draw()
    written = [text.get_text() for axes in figure.axes for text in axes.get_yticklabels()]
    assert any(text.startswith("$") for text in written)
    plt.close(figure)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["params.yaml", "--model", "digits"], "params.yaml: not a picture; allowed: PNG"),
        (["nothing.png", "--model", "digits"], "nothing.png: not there"),
        (["", "--model", "digits"], "IMAGE: found ''; allowed: the name of a file or a folder"),
        (["x" * 300, "--model", "digits"], "IMAGE: found 'xxx"),
        (["x" * 300, "--model", "digits"], "x…', which cannot be used: File name too long"),
        (["pictures", "--model", "x" * 300], "xxx'; trained here: digits"),
        (["pictures", "--model", "digits", "--csv", ""], "--csv: found ''; allowed: the name of a file"),
        (["pictures", "--model", "digits", "--csv", "x" * 300], "which cannot be used: File name too long"),
        (["pictures", "--model", "digits", "--csv", "metrics"], "--csv: found 'metrics', which is a folder"),
        (
            ["pictures/00.png", "--model", "digits", "--explain", "a.svg"],
            "--explain: found 'a.svg', which is",
        ),
        (["metrics", "--model", "digits"], "metrics: no pictures in it"),
        (["pictures"], "--model: not given; allowed: DATASET@champion, or what is trained here: digits"),
        (
            ["pictures", "--model", "digitz"],
            "--model: found 'digitz'; trained here: digits; did you mean",
        ),
        (["pictures", "--model", "../digits"], "--model: found '../digits'"),
        (["pictures", "--model", "digits/x"], "digits is an experiment and has no trials"),
        (
            ["pictures", "--model", "other"],
            "other: not trained here; `dvc exp run -S 'run=[other]' -S 'run_sweeps=[]'` trains it",
        ),
        (["pictures", "--model", "mnist@champion"], "--model: no network for mnist is trained here"),
        (["pictures", "--model", "nist@champion"], "found the data set 'nist'"),
        (["pictures", "--model", "digits", "--explain", "a.png"], "--explain: found 20 pictures; allowed"),
        (["pictures/00.png", "--model", "digits", "--explain", "a.txt"], "ends in .png or .svg"),
        (
            ["pictures/00.png", "--model", "digits", "--csv", "params.yaml/a.csv"],
            "params.yaml/a.csv: cannot be",
        ),
    ],
)
def test_bad_input_is_one_line(
    one_line: Callable[..., str], here: Path, arguments: list[str], words: str
) -> None:
    (here / "a.svg").mkdir()
    assert words in one_line("predict", *arguments)


def test_a_link_to_nothing_is_not_left_out_of_a_folder(one_line: Callable[..., str], here: Path) -> None:
    (here / "pictures/99.png").symlink_to("gone.png")
    assert "pictures/99.png: not there" in one_line("predict", "pictures", "--model", "digits")


def test_a_selected_experiment_is_trained_by_repro(one_line: Callable[..., str], here: Path) -> None:
    shutil.rmtree(here / "data/models")
    assert "digits: not trained here; `dvc repro` trains it" in one_line(
        "predict", "pictures", "--model", "digits"
    )
    assert trained_here() == []


@pytest.mark.parametrize(
    ("spoiling", "says"),
    [
        (
            spoil,
            "metrics/digits/train.json does not match trainings.json; `git checkout` or `dvc repro` restores",
        ),
        (lambda: files.write_text(files.METRICS / "digits/train.json", "{"), "metrics/digits/train.json: "),
    ],
)
def test_a_result_that_git_brings_back_is_not_to_be_trained(
    one_line: Callable[..., str], spoiling: Callable[[], None], says: str
) -> None:
    spoiling()
    assert one_line("predict", "pictures", "--model", "digits").startswith(f"convlab: {says}")
    said = one_line("predict", "pictures", "--model", "digits@champion")
    assert said.startswith(f"convlab: --model: no network for digits is trained here; {says}")
    assert trained_here() == []
    assert "trained here: nothing" in one_line("predict", "pictures")


def test_weights_of_another_network_are_not_used(
    one_line: Callable[..., str], recipe: Callable[..., Experiment]
) -> None:
    for filters in ([8, 16], [4, 8]):  # as many as were trained, and others
        other = build_model(recipe({"model.filters": filters}), [1, 8, 8], 10)
        files.write_tensors(next(Path("data/models/digits").iterdir()), other.state_dict())
        assert "not the weights of metrics/digits/trainings.json" in one_line(
            "predict", "pictures", "--model", "digits"
        )


@pytest.mark.parametrize("change", [{"classes": list("abcdefghix")}, {"shape": [1, 9, 9]}], ids=str)
def test_a_network_of_a_data_set_that_was_imported_again_is_not_used(
    one_line: Callable[..., str], here: Path, recipe: Callable[..., Experiment], change: dict[str, Any]
) -> None:
    facts = {"shape": [1, 8, 8], "max_value": 255, "classes": list("abcdefghij"), "train_images": 1437}
    facts |= {"flip_safe": False, "files": {}, "format": "safetensors", "imported": True}
    files.write_json(card("own"), {"declared": {}, "facts": facts, "images": {}})
    one = recipe(dataset="own")
    model = build_model(one, one.input_shape, 10)
    made = {"configuration": one.model_dump(mode="json"), "weights": hash_weights(model)}
    code = {"train": result.CODE, "prepare": {facts_key("own"): facts_of("own")}}
    record = result.training("net", one.seed, **made, code=code)
    result.put([record], [result.evaluation(record)])
    files.write_tensors(files.weights("net", one.seed), model.state_dict())
    assert load_trained("net").statistics.classes[-1] == "j"
    files.write_json(card("own"), {"declared": {}, "facts": facts | change, "images": {}})
    catalogue._imported.cache_clear()
    error = one_line("predict", "pictures", "--model", "net")
    assert "net: trained when the images of own had another shape or other classes than datasets/own" in error
    assert "no network for own is trained here" in one_line("predict", "pictures", "--model", "own@champion")
    catalogue._imported.cache_clear()


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("scaling", ["none", "unit", "zscore_image"])
def test_preprocessing_that_needs_no_training_image_is_known_without_them(
    recipe: Callable[..., Experiment], digits_raw: Raw, scaling: str
) -> None:
    one = recipe({"preprocess.scaling": scaling})
    assert _statistics("digits", one) == prepare(digits_raw, one).statistics


@pytest.mark.usefixtures("here")
def test_what_needs_the_training_images_asks_for_them(recipe: Callable[..., Experiment]) -> None:
    with pytest.raises(InputError, match=r"statistics\.json: not there, and neither are the training images"):
        _statistics("digits", recipe({"preprocess.scaling": "zscore_channel"}))
