"""Every experiment of params.yaml through the whole pipeline, on data sets of the real formats and shapes.

They hold a hundred random images each; the catalogue of the clone names their checksums instead of the
published ones, and everything else is as it ships.
"""

import json

import pytest
from clones import Clone, clone_to, without_mlflow
from repository import ROOT

from bench.gpu.small_data import expect_small_data, write_small_data
from convlab import files
from convlab.config import read_params

pytestmark = [pytest.mark.pipeline, pytest.mark.campaign]

TRAIN, TEST, VALIDATION = 100, 40, 30
EXPERIMENTS = read_params(ROOT / "params.yaml")["experiments"]
FIGURES = {"curves.png", "confusion.png", "histograms.png", "gradcam.png", "model.svg"}


def shrink(params: dict) -> None:
    for name, experiment in params["experiments"].items():
        experiment |= {"epochs": 1, "split": {"method": "last", "validation": VALIDATION}, "batch_size": 50}
        experiment["seeds"] = 2 if name == "mnist_cnn" else 1
    for sweep in params["sweeps"].values():
        sweep["overrides"] = {**sweep.get("overrides", {}), "epochs": 1}
    params["run"] = list(params["experiments"])
    params["run_sweeps"] = ["cifar10_grey_kernel_stride", "mnist_cnn_l2"]


@pytest.fixture(scope="module")
def everything(tmp_path_factory) -> Clone:
    mirror = tmp_path_factory.mktemp("mirror")
    write_small_data(mirror, TRAIN, TEST)
    clone = clone_to(tmp_path_factory.mktemp("everything"))
    expect_small_data(clone.folder, mirror, TRAIN)
    clone.run("git", "init", "-q")
    clone.edit(shrink)
    clone.commit("start")
    without_mlflow(clone)
    clone.run("dvc", "repro", CONVLAB_MIRROR=str(mirror))
    return clone


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_has_all_of_its_results(everything: Clone, name: str) -> None:
    metrics, plots = everything.folder / "metrics" / name, everything.folder / "plots" / name
    facts, scores = (json.loads((metrics / f"{file}.json").read_text()) for file in ("trainings", "scores"))
    assert {record["epochs"] for record in facts} == {1}
    assert all(set(record) >= {"train", "validation", "test", "per_class"} for record in scores)
    steps = EXPERIMENTS[name].get("iterations", False)
    assert bool(files.read_curves(plots / "iterations.csv")) == steps
    drawn = {path.name for path in (plots / "figures").iterdir()}
    assert drawn >= FIGURES
    assert ("iterations.png" in drawn) == steps
    assert ("augmentation.png" in drawn) == ("augment" in EXPERIMENTS[name])
    seeds = list((everything.folder / "data/models" / name).iterdir())
    assert len(seeds) == len(facts) == len(scores) == (2 if name == "mnist_cnn" else 1)


def test_sweeps_have_a_row_for_each_point_and_seed(everything: Clone) -> None:
    for name, count in (("cifar10_grey_kernel_stride", 5), ("mnist_cnn_l2", 12)):
        rows = json.loads((everything.folder / "metrics" / name / "trainings.json").read_text())
        assert [row["status"] for row in rows] == ["finished"] * count
        assert (everything.folder / "plots" / name / "figures/trials.png").is_file()


def test_nothing_is_left_to_do(everything: Clone) -> None:
    assert "up to date" in everything.run("dvc", "repro").stdout
