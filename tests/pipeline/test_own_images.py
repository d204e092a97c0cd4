"""docs/extending.md end to end: a folder of images is imported, trained on, predicted and explained."""

import csv
import io
import json
import re
import shutil
from pathlib import Path

import pytest
import yaml
from clones import Clone, clone_to, without_mlflow
from PIL import Image
from repository import ROOT
from shapes import SHAPES, draw_into

pytestmark = [pytest.mark.pipeline, pytest.mark.campaign]

DOCS = ROOT / "docs"
COUNTS = {"circle": 100, "square": 100, "triangle": 40}


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A clone in which the documented experiment ran, for a few epochs, on pictures beside it."""
    folder = tmp_path_factory.mktemp("own")
    draw_into(folder / "shapes", COUNTS)
    (folder / "clone").mkdir()
    clone = clone_to(folder / "clone")
    without_mlflow(clone)
    clone.run("git", "init", "-q")
    documented = yaml.safe_load(
        re.findall(r"```yaml\n(.*?)```", (DOCS / "extending.md").read_text(), re.S)[0]
    )
    documented["experiments"]["shapes_cnn"] |= {"epochs": 20, "threads": 1, "precision": "fp32"}

    def declare(params: dict) -> None:
        experiments = params["experiments"] | documented.pop("experiments")
        params |= documented | {"experiments": experiments}

    clone.edit(declare)
    clone.commit("declared")
    clone.imported = clone.run("convlab", "import", "shapes").stdout  # type: ignore[attr-defined]
    clone.run("dvc", "repro")
    clone.commit("reproduced")
    return clone


def test_the_classes_and_their_imbalance_are_shown(own: Clone) -> None:
    assert "│ triangle │    32 │    8 │" in own.imported  # type: ignore[attr-defined]
    assert (
        "warning: datasets.shapes: unbalanced: 80 training images of circle, 32 of triangle"
        in own.run("convlab", "validate").stdout
    )


def test_git_holds_the_facts_and_dvc_the_images(own: Clone) -> None:
    tracked = own.run("git", "ls-files", "datasets", "data/imported").stdout.split()
    kept = (
        "data/imported/.gitignore",
        "data/imported/shapes.dvc",
        "datasets/README.md",
        "datasets/shapes.json",
    )
    assert tracked == [*kept]
    assert "up to date" in own.run("dvc", "repro").stdout
    shutil.rmtree(own.folder / "data/imported/shapes")
    own.run("dvc", "checkout", "data/imported/shapes.dvc")
    assert (own.folder / "data/imported/shapes/images.safetensors").is_file()


def test_class_names_stand_in_every_result(own: Clone) -> None:
    (scores,) = json.loads((own.folder / "metrics/shapes_cnn/scores.json").read_text())
    assert list(scores["per_class"]) == list(SHAPES)
    assert scores["test"]["images"] == 48
    with (own.folder / "plots/shapes_cnn/confusion.csv").open() as file:
        assert {row["actual"] for row in csv.DictReader(file)} == set(SHAPES)
    figures = {path.name for path in (own.folder / "plots/shapes_cnn/figures").iterdir()}
    assert {"curves.png", "confusion.png", "gradcam.png", "model.svg"} <= figures


def test_new_pictures_are_predicted_and_explained(own: Clone) -> None:
    draw_into(own.folder.parent / "new", dict.fromkeys(SHAPES, 8), seed=9)
    table = own.run("convlab", "predict", "../new", "--model", "shapes@champion").stdout
    rows = list(csv.DictReader(io.StringIO(table)))
    right = [row["class"] == Path(row["image"]).parent.name for row in rows]
    assert len(right) == 24
    assert sum(right) > 12, "8 would be chance"
    picture = str(own.folder.parent / "new/circle/000.png")
    own.run("convlab", "predict", picture, "--model", "shapes_cnn", "--explain", "../why.png")
    with Image.open(own.folder.parent / "why.png") as image:
        assert image.width > 800


def test_a_clone_without_the_images_validates_and_says_what_is_missing(own: Clone, tmp_path: Path) -> None:
    own.run("git", "clone", "-q", ".", str(tmp_path / "other"))
    other = Clone(tmp_path / "other")
    assert "is valid: run shapes_cnn" in other.run("convlab", "validate").stdout
    assert "up to date" in other.run("dvc", "repro", "--allow-missing", "--dry").stdout
    other.run("python", "stages/resolve.py", PYTHONPATH="src")
    said = other.run("python", "stages/download.py", status=2, PYTHONPATH="src").stdout
    assert "images.safetensors: not there; bring it back with `dvc checkout data/imported/shapes.dvc`" in said


def test_pictures_that_change_are_trained_on_again(own: Clone) -> None:
    draw_into(own.folder.parent / "shapes", COUNTS | {"triangle": 60}, seed=3)
    own.run("convlab", "import", "shapes")
    done = own.run("dvc", "repro", "--dry").stdout
    for stage in ("resolve", "download"):
        assert f"Running stage '{stage}'" in done
    own.run("dvc", "repro", "preprocess@shapes_cnn")
    assert "Running stage 'train@shapes_cnn'" in own.run("dvc", "repro", "--dry").stdout


def test_an_import_is_undone(own: Clone) -> None:
    own.run("dvc", "remove", "--outs", "data/imported/shapes.dvc")
    (own.folder / "datasets/shapes.json").unlink()
    assert not (own.folder / "data/imported/shapes").exists()
    said = own.run("convlab", "validate", status=2).stdout
    assert "'shapes', which is declared, but not imported yet" in said

    def take_out(params: dict) -> None:
        params["experiments"].pop("shapes_cnn")
        params |= {"datasets": {}, "run": ["digits"]}

    own.edit(take_out)
    assert "is valid: run digits" in own.run("convlab", "validate").stdout
