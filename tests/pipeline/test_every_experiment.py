"""Every experiment of params.yaml through the whole pipeline, on data sets of the real formats and shapes.

They hold a hundred random images each; the catalogue of the clone names their checksums instead of the
published ones, and everything else is as it ships.
"""

import gzip
import hashlib
import json
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import yaml
from conftest import REPOSITORY, Clone, clone_to, without_mlflow

from convlab.data.catalogue import DATASETS

pytestmark = pytest.mark.pipeline

TRAIN, TEST, VALIDATION = 100, 40, 30
EXPERIMENTS = yaml.safe_load((REPOSITORY / "params.yaml").read_text())["experiments"]
FIGURES = {"curves.png", "confusion.png", "histograms.png", "gradcam.png", "model.svg"}


def write_idx_set(folder: Path, random: np.random.Generator) -> None:
    folder.mkdir(parents=True)
    for part, count in (("train", TRAIN), ("t10k", TEST)):
        images = random.integers(0, 256, (count, 28, 28), np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
            path = folder / f"{part}-{kind}-ubyte.gz"
            path.write_bytes(gzip.compress(header + array.tobytes(), mtime=0))


def write_cifar(folder: Path, random: np.random.Generator) -> None:
    folder.mkdir(parents=True)
    counts = {f"data_batch_{number}": TRAIN // 5 for number in range(1, 6)} | {"test_batch": TEST}
    for name, count in counts.items():
        batch = {
            "data": random.integers(0, 256, (count, 3072), np.uint8),
            "labels": [index % 10 for index in range(count)],
        }
        (folder / name).write_bytes(pickle.dumps(batch, protocol=2))
    (folder / "batches.meta").write_bytes(b"not read")


def rename_checksums(catalogue: Path, mirror: Path) -> None:
    text = catalogue.read_text()
    for name, dataset in DATASETS.items():
        for file, published in dataset.files.items() if not dataset.embedded else ():
            text = text.replace(published, hashlib.md5((mirror / name / file).read_bytes()).hexdigest())
    for count in ("60_000", "50_000"):
        text = text.replace(f"train_images={count}", f"train_images={TRAIN}")
    catalogue.write_text(text)


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
    mirror, random = tmp_path_factory.mktemp("mirror"), np.random.default_rng(0)
    for name in ("mnist", "fashion_mnist"):
        write_idx_set(mirror / name, random)
    write_cifar(mirror / "cifar10/cifar-10-batches-py", random)
    clone = clone_to(tmp_path_factory.mktemp("everything"))
    rename_checksums(clone.folder / "src/convlab/data/catalogue.py", mirror)
    clone.run("git", "init", "-q")
    clone.edit(shrink)
    clone.commit("start")
    without_mlflow(clone, tmp_path_factory.mktemp("without"))
    clone.run("dvc", "repro", CONVLAB_MIRROR=str(mirror), limit=600)
    return clone


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_has_all_of_its_results(everything: Clone, name: str) -> None:
    metrics, plots = everything.folder / "metrics" / name, everything.folder / "plots" / name
    facts, scores = (json.loads((metrics / f"{file}.json").read_text()) for file in ("train", "evaluate"))
    assert facts["epochs"] == 1
    assert set(scores) >= {"train", "validation", "test", "per_class"}
    steps = EXPERIMENTS[name].get("iterations", False)
    assert bool((plots / "iterations.csv").read_text()) == steps
    drawn = {path.name for path in (plots / "figures").iterdir()}
    assert drawn >= FIGURES
    assert ("iterations.png" in drawn) == steps
    assert ("augmentation.png" in drawn) == ("augment" in EXPERIMENTS[name])
    seeds = list((everything.folder / "data/models" / name).iterdir())
    assert len(seeds) == len(facts.get("seeds", [facts])) == (2 if name == "mnist_cnn" else 1)


def test_sweeps_have_a_row_for_each_point_and_seed(everything: Clone) -> None:
    for name, count in (("cifar10_grey_kernel_stride", 5), ("mnist_cnn_l2", 6)):
        rows = json.loads((everything.folder / "metrics" / name / "trials.json").read_text())
        assert [row["status"] for row in rows] == ["finished"] * count
        assert (everything.folder / "plots" / name / "figures/trials.png").is_file()


def test_nothing_is_left_to_do(everything: Clone) -> None:
    assert "up to date" in everything.run("dvc", "repro").stdout
