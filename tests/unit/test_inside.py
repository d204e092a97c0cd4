"""Feature maps and Grad-CAM computed without automatic differentiation equal PyTorch's with it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import result
import torch
from params import write
from torch import nn
from training import MODEL

from convlab import files
from convlab.errors import InputError
from convlab.figures.features import activations
from convlab.figures.gradcam import gradcam
from convlab.models.build import build_model
from convlab.models.weights import hash_weights
from convlab.networks.inside import Inside, derivative
from convlab.networks.onnx_model import graph
from convlab.networks.trained import TrainedNetwork, load_trained
from convlab.schema import Experiment

CIFAR = {"dataset": "cifar10", "preprocess": {"greyscale": False, "scaling": "unit"}}
FAMILIES = {
    "cnn": {},
    "cnn, GELU, greyscale": {
        "dataset": "cifar10",
        "preprocess": {"greyscale": True, "scaling": "unit"},
        "model": MODEL | {"whitening": {"kernel": 2, "eps": 0.01}, "activation": "gelu", "dense": [32, 16]},
    },
    "cnn, SiLU, no pooling": {"model": MODEL | {"activation": "silu", "pools": [1, 1]}},
    "cnn, tanh": {"model": MODEL | {"activation": "tanh", "norm": "block"}},
    "resnet": CIFAR
    | {"model": {"name": "resnet", "widths": [8, 16], "blocks": [1, 1], "activation": "relu"}},
    "preact": CIFAR | {"model": {"name": "preact", "stem": 4, "widths": [8, 16], "activation": "relu"}},
    "speedrun": CIFAR
    | {
        "model": {
            "name": "speedrun",
            "patches": {"kernel": 2, "eps": 5e-4},
            "widths": [8, 16, 16],
            "activation": "gelu",
        }
    },
}


@pytest.fixture
def load(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, recipe: Callable[..., Experiment]
) -> Callable[..., TrainedNetwork]:
    """Load a network with random weights, as if it had been trained."""

    def build(changes: dict[str, Any]) -> TrainedNetwork:
        monkeypatch.chdir(tmp_path)
        write(tmp_path, {})
        one = recipe(**changes)
        model = build_model(one, one.input_shape, 10)
        made = {"configuration": one.model_dump(mode="json"), "weights": hash_weights(model)}
        result.put([result.training("net", one.seed, **made)], [])
        files.write_tensors(files.weights("net", one.seed), model.state_dict())
        return load_trained("net")

    return build


def some_images(trained: TrainedNetwork) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    shape = (3, *trained.dataset.shape)
    return torch.randint(trained.dataset.max_value + 1, shape, generator=generator).to(torch.uint8)


def check(trained: TrainedNetwork, logits: Any, heat: Any, maps: Any) -> None:
    """Compare with the network itself, with Grad-CAM by autograd, and with what the figures draw."""
    inputs = trained.statistics.transform()(some_images(trained))
    with torch.no_grad():
        torch.testing.assert_close(logits, trained.model(inputs), atol=1e-4, rtol=0)
    for index in range(heat.shape[1]):
        own = heat[:, index] / heat[:, index].amax((1, 2), keepdim=True).clamp(min=1e-12)
        wanted = gradcam(trained.model, inputs, torch.full((len(inputs),), index))
        torch.testing.assert_close(own, wanted, atol=1e-4, rtol=0)
    wanted_maps = activations(trained.model, inputs)
    assert len(maps) == len(wanted_maps)
    for found, wanted in zip(maps, wanted_maps.values(), strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-4, rtol=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_maps_and_gradcam_of_every_family_are_those_of_autograd(
    load: Callable[..., TrainedNetwork], family: str
) -> None:
    trained = load(FAMILIES[family])
    inside = Inside(trained).eval()
    with torch.no_grad():
        view = inside(some_images(trained))
    check(trained, *view)
    one = torch.zeros(1, *trained.statistics.input_shape)
    assert inside.layers == list(activations(trained.model, one))


@pytest.mark.parametrize("family", ["cnn", "preact"])
def test_an_exported_graph_says_the_same_of_any_number_of_images(
    load: Callable[..., TrainedNetwork], family: str
) -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    trained = load(FAMILIES[family])
    inside = Inside(trained)
    content = graph(trained, inside, ["logits", "heat", *inside.layers])
    session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
    images = some_images(trained)
    logits, heat, *maps = (torch.from_numpy(one) for one in session.run(None, {"images": images.numpy()}))
    check(trained, logits, heat, maps)
    first = session.run(["logits"], {"images": images[:1].numpy()})[0]
    assert np.abs(first - logits[:1].numpy()).max() < 1e-4


@pytest.mark.parametrize("activation", [nn.ReLU(), nn.Tanh(), nn.SiLU(), nn.GELU()])
def test_the_chain_rule_is_that_of_autograd(activation: nn.Module) -> None:
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Linear(7, 5), activation, nn.Linear(5, 4), activation, nn.Linear(4, 3))
    inputs = torch.randn(6, 7)
    values, gradient = derivative(list(layers), inputs)
    torch.testing.assert_close(values, layers(inputs))
    wanted = torch.stack([torch.autograd.functional.jacobian(layers, row) for row in inputs])
    torch.testing.assert_close(gradient, wanted, atol=1e-6, rtol=0)


def test_a_head_whose_derivative_is_not_written_out_is_refused(load: Callable[..., TrainedNetwork]) -> None:
    trained = load({})
    trained.model.add_module("softmax", nn.Softmax(1))
    with pytest.raises(InputError, match=r"net: Grad-CAM is not implemented for a head of .*Softmax"):
        Inside(trained)


class Undecided(nn.Module):
    """A model of one's own whose path depends on the image, which no exporter can follow."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.float() if images.sum() > 0 else -images.float()


def test_a_model_that_cannot_be_exported_is_one_line(load: Callable[..., TrainedNetwork]) -> None:
    pytest.importorskip("onnxscript", reason="`pip install onnx onnxscript` exports networks")
    with pytest.raises(InputError, match="net: cannot be exported as ONNX: "):
        graph(load({}), Undecided(), ["logits"])
