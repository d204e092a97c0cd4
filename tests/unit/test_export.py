"""`convlab export`: a trained network as ONNX, with its preprocessing, says what PyTorch says."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import result
import torch
from training import MODEL, Command, first

from convlab import files
from convlab.data.dataset import Prepared
from convlab.models.build import build_model
from convlab.models.weights import hash_weights
from convlab.networks.onnx_model import OPSET, FromPixels, export
from convlab.networks.trained import load_trained
from convlab.schema import Experiment

pytest_plugins = ["predicting"]
pytestmark = pytest.mark.usefixtures("here")


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


def test_an_export_needs_a_name_that_says_onnx(one_line: Callable[..., str], here: Path) -> None:
    assert "--onnx: found 'a.pt'; allowed: a file whose name ends in .onnx" in one_line(
        "export", "digits", "--onnx", "a.pt"
    )
    assert not (here / "a.pt").exists()
