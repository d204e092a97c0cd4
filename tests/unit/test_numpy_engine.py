"""R4's network by hand: gradients, whole trainings beside PyTorch's, and what the engine refuses."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from params import refusal
from torch import nn
from training import CPU, Recipe, first, run, same

from bench.engines.gradients import CASES, against_autograd, against_differences
from convlab import files
from convlab.data.dataset import Prepared, load_statistics
from convlab.models.build import build_model, load_model
from convlab.models.preact import PreActBlock
from convlab.models.weights import penalised
from convlab.numpy_engine import parts
from convlab.numpy_engine.engine import layer_of, network_of
from convlab.numpy_engine.head import cross_entropy
from convlab.numpy_engine.network import layers_of
from convlab.numpy_engine.sgd import SGD
from convlab.pipeline.evaluate import evaluate
from convlab.pipeline.run import train
from convlab.schema import L2On
from convlab.train.device import prepare_process
from convlab.train.engine import build_engine
from convlab.train.inference import for_inference, logits_of
from convlab.train.loader import place

PREACT: dict[str, Any] = {
    "model": {"name": "preact", "stem": 8, "widths": [8, 16], "activation": "silu"},
    "optimizer": {"name": "sgd", "momentum": 0.0, "nesterov": False, "decoupled": False},
    "lr": 0.03,
}
MOMENTUM = {"optimizer": {**PREACT["optimizer"], "momentum": 0.9, "nesterov": True}}
ENGINES = ("torch", "numpy")


@pytest.fixture(params=["in one part", pytest.param("in many", marks=pytest.mark.campaign)])
def _parts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "in many":
        monkeypatch.setattr(parts, "CACHE", 2**10)


@pytest.mark.usefixtures("_parts")
@pytest.mark.parametrize(("make", "shape"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_gradients_are_those_of_central_differences_and_of_automatic_differentiation(
    make: Callable[[], nn.Module], shape: tuple[int, ...]
) -> None:
    few = (2, *shape[1:])
    assert against_differences(make, few, seed=2) < 1e-6
    assert against_autograd(make, few, seed=2) < 1e-5


sizes = st.integers(1, 6)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    kernel=st.integers(1, 5),
    stride=st.integers(1, 3),
    padding=st.integers(0, 2),
    channels=st.tuples(sizes, sizes),
    image=st.tuples(sizes, st.integers(5, 11), st.integers(5, 11)),
    seed=st.integers(0, 99),
)
def test_a_convolution_is_right_for_any_kernel_stride_padding_and_size(
    kernel: int,
    stride: int,
    padding: int,
    channels: tuple[int, int],
    image: tuple[int, int, int],
    seed: int,
) -> None:
    count, *size = image
    shape = (count, channels[0], *size)
    assert against_differences(lambda: nn.Conv2d(*channels, kernel, stride, padding), shape, seed) < 1e-6
    assert against_autograd(lambda: nn.Conv2d(*channels, kernel, stride, padding), shape, seed) < 1e-5


@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    channels=st.tuples(sizes, sizes),
    image=st.tuples(st.integers(2, 5), st.integers(3, 9), st.integers(3, 9)),
    stride=st.integers(1, 2),
    seed=st.integers(0, 99),
)
def test_a_residual_block_is_right_for_any_width_stride_and_size(
    channels: tuple[int, int], image: tuple[int, int, int], stride: int, seed: int
) -> None:
    count, *size = image
    shape = (count + 2, channels[0], *size)
    # Looser: what is normalised over a handful of pixels is divided by small standard deviations
    assert against_differences(lambda: PreActBlock(*channels, stride, nn.SiLU), shape, seed) < 1e-4


def test_the_loss_and_its_gradient_are_those_of_softmax_and_cross_entropy() -> None:
    logits = torch.randn(7, 5, dtype=torch.float64).mul(30).requires_grad_()
    targets = torch.randn(7, 5, dtype=torch.float64).softmax(1)
    expected = nn.functional.cross_entropy(logits, targets)
    expected.backward()
    loss, gradient = cross_entropy(logits.detach().numpy(), targets.numpy())
    assert loss == pytest.approx(expected.item(), rel=1e-12)
    assert logits.grad is not None
    np.testing.assert_allclose(gradient, logits.grad.numpy(), atol=1e-15)


def test_logits_however_large_neither_overflow_nor_vanish() -> None:
    loss, gradient = cross_entropy(np.array([[1e30, 0.0]], "f"), np.array([[1.0, 0.0]], "f"))
    assert loss == 0
    assert not gradient.any()


def engines(recipe: Recipe, changes: dict[str, Any] | None = None) -> list[tuple[nn.Module, Any]]:
    """The same network twice, each with its engine."""
    prepare_process(1, False)
    found = []
    for engine in ENGINES:
        settings = recipe({**PREACT, **(changes or {})}, engine=engine)
        model = build_model(settings, [1, 8, 8], 10)
        place(model, CPU)
        found.append((model, build_engine(model.train(), settings, CPU)))
    return found


def batches(digits: Prepared, count: int, size: int = 50) -> list[tuple[torch.Tensor, torch.Tensor]]:
    order = [torch.randperm(len(digits.train.labels))[:size] for _ in range(count)]
    return [(digits.train.images[chosen] / 16, digits.train.labels[chosen]) for chosen in order]


@pytest.mark.usefixtures("_parts")
@pytest.mark.parametrize(
    "changes",
    [
        {},
        MOMENTUM,
        {"weight_decay": 0.01, "label_smoothing": 0.1},
        {"l2": 0.01, "optimizer": {**PREACT["optimizer"], "momentum": 0.5}},
        {"init": "keras", "batch_norm": "keras", "l2": 0.1, "l2_on": "kernels_and_biases"},
    ],
    ids=["plain", "nesterov", "decay and smoothing", "l2 and momentum", "as in keras"],
)
def test_steps_of_the_whole_network_are_those_of_pytorch(
    recipe: Recipe, digits: Prepared, changes: dict[str, Any]
) -> None:
    (theirs, torch_engine), (ours, numpy_engine) = engines(recipe, changes)
    for images, labels in batches(digits, 3):
        expected_loss, _, expected = torch_engine.step(images, labels)
        loss, _, logits = numpy_engine.step(images, labels)
        torch.testing.assert_close(loss, expected_loss, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("l2_on", ["kernels", "kernels_and_biases"])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_step_pulls_each_penalised_weight_by_twice_the_rate_times_lambda(
    recipe: Recipe, digits: Prepared, engine: str, l2_on: L2On
) -> None:
    ((images, labels),) = batches(digits, 1)
    (plain, step), (pulled, pulling) = (
        engines(recipe, {"l2": l2, "l2_on": l2_on})[ENGINES.index(engine)] for l2 in (0.0, 0.5)
    )
    before = {name: parameter.detach().clone() for name, parameter in plain.named_parameters()}
    covered = {id(weight) for weight in penalised(pulled, l2_on)}
    for one in (step, pulling):
        one.step(images, labels)
    biases = 0
    for (name, found), other in zip(pulled.named_parameters(), plain.parameters(), strict=True):
        pull = 2 * 0.03 * 0.5 * before[name] if id(found) in covered else torch.zeros(())
        torch.testing.assert_close(found.detach(), other.detach() - pull, rtol=0, atol=1e-6)
        biases += id(found) in covered and found.ndim == 1
    assert biases == (0 if l2_on == "kernels" else 1 + 4 * 2 + 2 + 1)  # stem, blocks, shortcuts, output


def test_blended_labels_make_the_same_step(recipe: Recipe, digits: Prepared) -> None:
    (_, torch_engine), (_, numpy_engine) = engines(recipe)
    images, labels = batches(digits, 1)[0]
    blended = 0.7 * nn.functional.one_hot(labels, 10) + 0.3 * nn.functional.one_hot(labels.flip(0), 10)
    found, expected = (engine.step(images, blended)[0] for engine in (numpy_engine, torch_engine))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_the_learning_curves_of_100_steps_lie_within_a_hundredth(recipe: Recipe, digits: Prepared) -> None:
    (_, torch_engine), (_, numpy_engine) = engines(recipe)
    for images, labels in batches(digits, 100):
        expected, loss = (engine.step(images, labels)[0].item() for engine in (torch_engine, numpy_engine))
        assert loss == pytest.approx(expected, rel=0.01)


def test_a_training_has_the_curves_of_pytorchs_and_the_same_kind_of_weights(
    recipe: Recipe, digits: Prepared
) -> None:
    changes = {**PREACT, "augment": [{"name": "crop", "padding": 1, "border": "zero"}], "keep": "last"}
    few = first(digits.train, 300)
    models, histories = zip(
        *(run(recipe({**changes, "engine": engine}), digits, few) for engine in ENGINES), strict=True
    )
    for one, other in zip(*(history.records for history in histories), strict=True):
        assert one == pytest.approx(other, rel=1e-3, abs=1 / 250)
    assert models[1].state_dict().keys() == models[0].state_dict().keys()
    torch.testing.assert_close(models[1].state_dict(), models[0].state_dict(), rtol=1e-2, atol=1e-3)


def test_no_result_depends_on_the_threads(
    recipe: Recipe, digits: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "CACHE", 2**10)  # many parts, so that both threads have some
    models = []
    for threads in (1, 2):
        prepare_process(threads, False)
        models.append(
            run(recipe({**PREACT, **MOMENTUM, "engine": "numpy"}), digits, first(digits.train, 200))[0]
        )
    prepare_process(1, False)
    assert same(*models)


def test_weights_of_either_engine_score_the_same_in_both(
    recipe: Recipe, prepared: Path, tmp_path: Path
) -> None:
    settings = {engine: recipe({**PREACT, "engine": engine}) for engine in ENGINES}
    folder = prepared / settings["numpy"].data_key()
    for trained_by in ENGINES:
        trained = train(trained_by, settings[trained_by], folder)
        files.write_tensors(tmp_path / "model.safetensors", trained.model.state_dict())
        scores = []
        for settings_of in settings.values():
            model = load_model(settings_of, load_statistics(folder), tmp_path / "model.safetensors")
            scores.append(evaluate(model, settings_of, folder).scores["test"])
        assert scores[0]["accuracy"] == pytest.approx(scores[1]["accuracy"], abs=1 / 360)
        assert scores[0]["loss"] == pytest.approx(scores[1]["loss"], rel=1e-4)


def test_in_inference_the_running_statistics_are_used_and_stay(recipe: Recipe, digits: Prepared) -> None:
    (model, _), (_, _) = engines(recipe)
    nn.init.uniform_(model.get_submodule("stage1_block1.norm1").running_mean)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    transform = digits.statistics.transform()
    expected = logits_of(model, digits.validation, transform, "fp32")
    ours = for_inference(model, recipe({**PREACT, "engine": "numpy"}))
    torch.testing.assert_close(
        logits_of(ours, digits.validation, transform, "fp32"), expected, rtol=1e-4, atol=1e-4
    )
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_what_it_computes_on_takes_the_place_of_auto(recipe: Recipe) -> None:
    settings = recipe({**PREACT, "engine": "numpy", "precision": "auto", "device": "auto"})
    assert (settings.precision, settings.device) == ("fp32", "cpu")


def test_a_layer_that_numpy_has_not_is_named() -> None:
    with pytest.raises(TypeError, match="MaxPool2d"):
        layer_of(nn.MaxPool2d(2), parts.Parts(1))


def test_sgd_has_a_velocity_for_every_parameter_of_the_network(recipe: Recipe) -> None:
    model = build_model(recipe(PREACT), [1, 8, 8], 10)
    place(model, CPU)
    sgd = SGD(layers_of(network_of(model, parts.Parts(1))), 0.9, False, 0.0, 0.0, l2_on_biases=False)
    assert sum(velocity.size for velocity in sgd.velocities) == sum(p.numel() for p in model.parameters())


NUMPY = {"experiments/fashion/engine": "numpy"}
END = "with engine: numpy, or engine: torch"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"experiments/digits/engine": "numpy"}, "digits.model.name: found cnn; allowed: preact"),
        (
            {**NUMPY, "experiments/fashion/model/activation": "relu"},
            "fashion.model.activation: found relu; allowed: silu",
        ),
        (
            {**NUMPY, "experiments/fashion/model/whitening": {"kernel": 2, "eps": 0.1}},
            'fashion.model.whitening: found {"kernel": 2, "eps": 0.1}; allowed: null',
        ),
        (
            {**NUMPY, "experiments/fashion/optimizer/decoupled": True},
            "fashion.optimizer.decoupled: found true; allowed: false",
        ),
        (
            {**NUMPY, "experiments/fashion/optimizer": {"name": "adam", "betas": [0.9, 0.99], "eps": 0.1}},
            "fashion.optimizer.name: found adam; allowed: sgd",
        ),
        ({**NUMPY, "experiments/fashion/precision": "bf16"}, "fashion.precision: found bf16; allowed: fp32"),
        ({**NUMPY, "experiments/fashion/device": "cuda"}, "fashion.device: found cuda; allowed: cpu"),
        ({**NUMPY, "experiments/fashion/compile": True}, "fashion.compile: found true; allowed: false"),
    ],
)
def test_what_the_numpy_engine_cannot_do_is_refused_in_one_line(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    assert refusal(tmp_path, changes) == f"experiments.{message} {END}"
