"""What the tests of trained networks share: a folder in which a network of the digits was trained."""

import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import result
import yaml
from params import changed
from PIL import Image
from training import MODEL, Command, run

from convlab import files
from convlab.data.dataset import Prepared
from convlab.models.weights import hash_weights
from convlab.schema import Experiment

EXPERIMENT = {"model": MODEL, "split": {"method": "random", "validation": 250}, "dataset": "digits"}


@pytest.fixture(scope="session")
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
    """A copy of that folder, which is the current one."""
    shutil.copytree(place, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


@pytest.fixture
def one_line(convlab: Command) -> Callable[..., str]:
    """`one_line("predict", …)`: run a command that bad input ends, and return its one line."""

    def call(*arguments: str) -> str:
        status, out, err = convlab(*arguments)
        assert (status, out) == (2, "")
        assert len(err.splitlines()) == 1
        return err

    return call


def spoil() -> None:
    """Change a number of a result, as an editor might."""
    path = files.METRICS / "digits/train.json"
    files.write_json(path, files.read_json(path) | {"epochs": 3})
