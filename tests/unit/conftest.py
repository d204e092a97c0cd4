import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from mirrored import Mirror
from repository import git
from training import SMALL, Command, Make

from convlab import cli
from convlab.config import merge, nest
from convlab.data.dataset import Prepared, save
from convlab.data.preprocess import prepare
from convlab.data.readers.raw import Raw
from convlab.data.readers.registry import read
from convlab.data.sources import fetch
from convlab.errors import use_headless_matplotlib
from convlab.schema import Experiment, Sweep, Trial

pytest.register_assert_rewrite("importing", "predicting", "serving")  # plugins of some tests
use_headless_matplotlib()
torch.set_num_threads(1)  # the networks here are too small for more


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CONVLAB_MIRROR", "DVC_ROOT", "DVC_EXP_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("CONVLAB_WORKERS", "1")  # two seconds of start-up for each further process


@pytest.fixture(scope="session")
def committed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with what is committed, or staged to be.

    What the work tree holds is not what a test of the committed results may look at: a `dvc repro` on another
    processor changes last digits there.
    """
    folder = tmp_path_factory.mktemp("committed")
    git("checkout-index", "--all", f"--prefix={folder}/")
    return folder


@pytest.fixture
def full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Work on a small disk of its own, which the function given fills; skipped where it cannot be mounted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mounting, capture_output=True).returncode:
        pytest.skip("mounting is not possible here")
    monkeypatch.chdir(disk)

    def fill() -> None:
        with open("ballast", "wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))

    yield fill
    monkeypatch.undo()
    subprocess.run(["umount", str(disk)], check=True)


@pytest.fixture(scope="session")
def recipe() -> Callable[..., Experiment]:
    """`recipe({"model.strides": [2, 1]}, epochs=3)`: a small experiment on the digits, with changes."""

    def make(changes: Mapping[str, Any] | None = None, **more: Any) -> Experiment:
        return Experiment.model_validate(merge(SMALL, nest({**(changes or {}), **more}, "test")))

    return make


@pytest.fixture(scope="session")
def digits_raw(tmp_path_factory: pytest.TempPathFactory) -> Raw:
    folder = tmp_path_factory.mktemp("raw")
    fetch("digits", folder, mirror=None)
    return read("digits", folder)


@pytest.fixture(scope="session")
def digits(digits_raw: Raw, recipe: Callable[..., Experiment]) -> Prepared:
    return prepare(digits_raw, recipe())


@pytest.fixture(scope="session")
def prepared(
    digits: Prepared, recipe: Callable[..., Experiment], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder as data/processed/NAME: prepared digits below their data key. Read it, do not write to it."""
    folder = tmp_path_factory.mktemp("processed")
    save(digits, folder / recipe().data_key())
    return folder


@pytest.fixture(scope="session")
def sweep(recipe: Callable[..., Experiment]) -> Make:
    """A sweep over points such as `{"lr": 0.1}`; each trial is named after its point."""

    def make(*points: dict[str, Any], **common: Any) -> Sweep:
        trials = [
            Trial(
                name="_".join(f"{key.split('.')[-1]}-{value}" for key, value in point.items()).replace(
                    " ", ""
                ),
                overrides=point,
                experiment=recipe({**common, **point}),
            )
            for point in points
        ]
        return Sweep(trials=trials)

    return make


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with MLflow's tables and nothing in them, to copy: making them takes seconds."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("mlflow") / "empty.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def mirror(empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mirror:
    """The mirror of an empty folder, in which the test then is."""
    monkeypatch.chdir(tmp_path)
    # MLflow puts the address that it is given into the environment, where the next test would find it
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    return Mirror(tmp_path, empty_store)


@pytest.fixture
def convlab(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run a command of `convlab`: return its exit status, stdout and stderr."""

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["convlab", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return call
