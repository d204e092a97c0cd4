"""`convlab predict` and `convlab export`: a trained network by name, on the user's own images."""

import contextlib
import csv
import hashlib
import io
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import result
import torch
import yaml
from params import changed
from PIL import Image
from training import MODEL, Command, first, run

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
from convlab.networks import champions
from convlab.networks.onnx_model import OPSET, FromPixels, export
from convlab.networks.predict import predict
from convlab.networks.trained import _statistics, load_trained, trained_here
from convlab.pipeline import kept
from convlab.pipeline.identity import facts_key, facts_of
from convlab.schema import Experiment

EXPERIMENT = {"model": MODEL, "split": {"method": "random", "validation": 250}, "dataset": "digits"}


@pytest.fixture(scope="module")
def place(
    digits: Prepared, recipe: Callable[..., Experiment], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder in which `digits` was trained for some epochs, and `other` was not."""
    folder = tmp_path_factory.mktemp("trained")
    one = recipe(epochs=8)
    model, history = run(one, digits)
    params = changed({"experiments/other": {**EXPERIMENT}, "run": ["digits"]})
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    files.write_tensors(folder / files.weights("digits", one.seed), model.state_dict())
    accuracy = history.records[-1]["validation_accuracy"]
    score = {"loss": 1.0, "accuracy": accuracy}
    made = {"configuration": one.model_dump(mode="json"), "weights": hash_weights(model)}
    facts = result.training("digits", one.seed, epochs=8, **made)
    scores = result.evaluation(facts, train=score, validation=score, test=score)
    with contextlib.chdir(folder):
        result.put([facts], [scores])
    for position in range(20):  # of the set's own size, and its 16 as white
        image = digits.test.images[position, 0].numpy().astype(np.float64) * 255 / 16
        path = folder / f"pictures/{position:02}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(image.round().astype(np.uint8)).save(path)
    return folder


@pytest.fixture
def here(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(place, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


@pytest.fixture
def convlab(here: Path, convlab: Command) -> Command:
    """Run the commands where something was trained."""
    return convlab


@pytest.fixture
def refused(convlab: Command) -> Callable[..., str]:
    def call(*arguments: str) -> str:
        status, out, err = convlab(*arguments)
        assert (status, out) == (2, "")
        assert len(err.splitlines()) == 1
        return err

    return call


# --------------------------------------------------------------------------------------------- of a revision


def commit(*paths: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", "add", *paths], check=True)
    subprocess.run(["git", *identity, "commit", "-qm", "a commit"], check=True)


@pytest.fixture
def revised(here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Commit what was trained, its weights in DVC's cache, which has a relative path, and remove it; return
    the hash of the weights. Of the programs, git alone is on the PATH."""
    subprocess.run(["git", "init", "-q"], check=True)
    subprocess.run([*kept.DVC, "init", "-q"], check=True)
    subprocess.run([*kept.DVC, "config", "cache.dir", "../store"], check=True)
    (record,) = files.read_json(files.trainings("digits"))
    weights = files.weights("digits", record["seed"])

    def stored(content: bytes, suffix: str = "") -> str:
        md5 = hashlib.md5(content).hexdigest() + suffix
        files.write_bytes(tmp_path / "store/files/md5" / md5[:2] / md5[2:], content)
        return md5

    listing = [{"md5": stored(weights.read_bytes()), "relpath": weights.name}]
    out = {"path": "data/models/digits", "md5": stored(json.dumps(listing).encode(), ".dir")}
    Path("dvc.lock").write_text(yaml.safe_dump({"stages": {"train@digits": {"outs": [out]}}}))
    commit("params.yaml", "metrics", "plots", "dvc.lock")
    shutil.rmtree("metrics")
    shutil.rmtree("data")
    git = shutil.which("git")
    assert git is not None
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/git").symlink_to(git)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return str(record["weights"])


def test_a_network_of_a_revision_has_its_weights_from_dvcs_cache(revised: str) -> None:
    trained = load_trained("digits@HEAD")
    assert trained.says().startswith("digits@HEAD, trained on digits, validation accuracy ")
    assert hash_weights(trained.model) == revised
    assert not Path("data").exists()
    with pytest.raises(InputError, match="--keep: found digits@HEAD, of another revision"):
        champions.keep(trained.result, revised, trained.model.state_dict(), trained.statistics)


def test_a_network_of_a_revision_has_its_weights_from_git(revised: str) -> None:
    trained = load_trained("digits@HEAD")
    champions.keep("digits", revised, trained.model.state_dict(), trained.statistics)
    commit("champions")
    shutil.rmtree("champions")
    shutil.rmtree("../store")
    assert hash_weights(load_trained("digits@HEAD").model) == revised


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("digits@nowhere", "found 'nowhere' after the @; allowed: a branch, tag, commit or DVC experiment"),
        ("digits@--all", "found '--all' after the @"),
        ("digit@HEAD", "--model: found 'digit', which has not run at HEAD"),
        ("digits/one@HEAD", "digits is an experiment and has no trials"),
        ("digits@HEAD", "digits@HEAD: its weights are neither in champions/ there nor in DVC's cache"),
    ],
)
@pytest.mark.usefixtures("revised")
def test_a_revision_without_the_network_is_one_line(
    refused: Callable[..., str], name: str, says: str
) -> None:
    shutil.rmtree("../store")
    assert says in refused("predict", "pictures/00.png", "--model", name)


def test_a_revision_whose_parts_do_not_belong_together_is_told(
    refused: Callable[..., str], revised: str
) -> None:
    subprocess.run(["git", "checkout", "-q", "metrics"], check=True)
    spoil()
    commit("metrics")
    assert (
        "digits@HEAD: metrics/digits/train.json does not match trainings.json; another revision may have"
    ) in refused("predict", "pictures", "--model", "digits@HEAD")
    assert hash_weights(load_trained("digits@HEAD~").model) == revised


# ---------------------------------------------------------------------------------------------------- predict


def spoil() -> None:
    """Change a number of a result, as an editor might."""
    path = files.METRICS / "digits/train.json"
    files.write_json(path, files.read_json(path) | {"epochs": 3})


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
    refused: Callable[..., str], here: Path, arguments: list[str], words: str
) -> None:
    (here / "a.svg").mkdir()
    assert words in refused("predict", *arguments)


def test_a_link_to_nothing_is_not_left_out_of_a_folder(refused: Callable[..., str], here: Path) -> None:
    (here / "pictures/99.png").symlink_to("gone.png")
    assert "pictures/99.png: not there" in refused("predict", "pictures", "--model", "digits")


def test_a_selected_experiment_is_trained_by_repro(refused: Callable[..., str], here: Path) -> None:
    shutil.rmtree(here / "data/models")
    assert "digits: not trained here; `dvc repro` trains it" in refused(
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
    refused: Callable[..., str], spoiling: Callable[[], None], says: str
) -> None:
    spoiling()
    assert refused("predict", "pictures", "--model", "digits").startswith(f"convlab: {says}")
    said = refused("predict", "pictures", "--model", "digits@champion")
    assert said.startswith(f"convlab: --model: no network for digits is trained here; {says}")
    assert trained_here() == []
    assert "trained here: nothing" in refused("predict", "pictures")


def test_weights_of_another_network_are_not_used(
    refused: Callable[..., str], recipe: Callable[..., Experiment]
) -> None:
    for filters in ([8, 16], [4, 8]):  # as many as were trained, and others
        other = build_model(recipe({"model.filters": filters}), [1, 8, 8], 10)
        files.write_tensors(next(Path("data/models/digits").iterdir()), other.state_dict())
        assert "not the weights of metrics/digits/trainings.json" in refused(
            "predict", "pictures", "--model", "digits"
        )


@pytest.mark.parametrize("change", [{"classes": list("abcdefghix")}, {"shape": [1, 9, 9]}], ids=str)
def test_a_network_of_a_data_set_that_was_imported_again_is_not_used(
    refused: Callable[..., str], here: Path, recipe: Callable[..., Experiment], change: dict[str, Any]
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
    error = refused("predict", "pictures", "--model", "net")
    assert "net: trained when the images of own had another shape or other classes than datasets/own" in error
    assert "no network for own is trained here" in refused("predict", "pictures", "--model", "own@champion")
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


# ----------------------------------------------------------------------------------------------------- export


def test_an_exported_network_says_what_pytorch_says(convlab: Command, digits: Prepared) -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    status, out, err = convlab("export", "digits", "--onnx", "digits.onnx")
    assert status == 0, err
    assert f"opset {OPSET}" in out
    assert "images: uint8, N × 1 × 8 × 8, from 0 to 16" in out
    session = runtime.InferenceSession("digits.onnx", providers=["CPUExecutionProvider"])
    trained = load_trained("digits")
    for count in (1, 7):
        images = first(digits.test, count).images
        (logits,) = session.run(None, {"images": images.numpy()})
        with torch.inference_mode():
            wanted = FromPixels(trained).eval()(images).numpy()
        assert logits.shape == (count, 10)
        assert np.abs(logits - wanted).max() < 1e-4
    said = session.get_modelmeta().custom_metadata_map
    assert json.loads(said["classes"]) == list("0123456789")
    assert said["weights"] == hash_weights(trained.model)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    "changes",
    [
        {
            "dataset": "cifar10",
            "preprocess": {"greyscale": True, "scaling": "unit"},
            "model": MODEL | {"whitening": {"kernel": 2, "eps": 0.01}, "activation": "gelu"},
        },
        {
            "dataset": "cifar10",
            "preprocess": {"greyscale": False, "scaling": "zscore_image"},
            "model": {"name": "resnet", "widths": [4, 8], "blocks": [1, 1], "activation": "relu"},
        },
        {"dataset": "mnist", "model": {"name": "preact", "stem": 4, "widths": [4, 8], "activation": "silu"}},
    ],
    ids=["cnn", "resnet", "preact"],
)
def test_every_family_and_preprocessing_can_be_exported(
    recipe: Callable[..., Experiment], changes: dict[str, Any], tmp_path: Path
) -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    one = recipe(**changes)
    model = build_model(one, one.input_shape, 10)
    made = {"configuration": one.model_dump(mode="json"), "weights": hash_weights(model)}
    result.put([result.training("net", one.seed, **made)], [])
    files.write_tensors(files.weights("net", one.seed), model.state_dict())
    trained = load_trained("net")
    assert export(trained, tmp_path / "net.onnx") == (tmp_path / "net.onnx").stat().st_size
    images = torch.randint(256, (3, *trained.dataset.shape), generator=torch.Generator().manual_seed(0))
    images = images.to(torch.uint8)
    session = runtime.InferenceSession(tmp_path / "net.onnx", providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {"images": images.numpy()})
    with torch.inference_mode():
        wanted = FromPixels(trained).eval()(images).numpy()
    assert np.abs(logits - wanted).max() < 1e-4


def test_an_export_needs_a_name_that_says_onnx(refused: Callable[..., str], here: Path) -> None:
    assert "--onnx: found 'a.pt'; allowed: a file whose name ends in .onnx" in refused(
        "export", "digits", "--onnx", "a.pt"
    )
    assert not (here / "a.pt").exists()
