"""What Keras and PyTorch do differently unless told otherwise: initial weights, batch normalisation."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from training import MODEL, Recipe

from convlab.models.build import build, build_model
from convlab.models.weights import kernels_of
from convlab.schema import CNN, Framework, PreAct, ResNet

SMALL = CNN.model_validate(MODEL)
RESNET = ResNet(name="resnet", widths=[8, 16], blocks=[2, 1], activation="relu")
PREACT = PreAct(name="preact", stem=8, widths=[8, 16], activation="silu")
R0 = CNN.model_validate(
    MODEL
    | {"filters": [32, 64, 128], "kernels": [3, 3, 3], "strides": [1, 1, 1], "pools": [2, 2, 2]}
    | {"block_dropout": [0.0, 0.0, 0.0], "dense": [256], "dropout": 0.5}
)
WHITENED = CNN.model_validate(MODEL | {"whitening": {"kernel": 2, "eps": 5e-4}})
SECTIONS = pytest.mark.parametrize("section", [SMALL, RESNET, PREACT], ids=lambda section: section.name)


def keras_fans(kernel: Tensor) -> tuple[int, int]:
    """As Keras computes them of a kernel [height, width, in, out], or [in, out] of a dense layer."""
    *area, channels_in, channels_out = kernel.permute(*range(2, kernel.ndim), 1, 0).shape
    return math.prod(area) * channels_in, math.prod(area) * channels_out


@pytest.mark.parametrize("section", [R0, SMALL.model_copy(update={"kernels": [[5, 2], 3]}), RESNET, PREACT])
def test_keras_kernels_are_uniform_within_glorots_limits(section: Any) -> None:
    model = build(section, [1, 28, 28], 10, seed=1, init="keras")
    for kernel in (kernel.detach() for kernel in kernels_of(model)):
        limit = math.sqrt(6 / sum(keras_fans(kernel)))
        assert kernel.abs().max() <= limit
        draws = kernel.numel()
        assert kernel.abs().max() > limit * (1 - 20 / draws)
        assert abs(kernel.mean().item()) < 5 * limit / math.sqrt(3 * draws)
        # the variance of a square, of a number that is uniform within ±1, is 4/45
        assert kernel.square().mean().item() / limit**2 == pytest.approx(
            1 / 3, abs=5 * math.sqrt(4 / 45 / draws)
        )


@pytest.mark.parametrize(("init", "expected"), [("keras", 793), ("torch", 238)])
def test_r0s_network_begins_with_the_sum_of_squares_of_its_framework(init: Framework, expected: int) -> None:
    found = sum(kernel.square().sum().item() for kernel in kernels_of(build(R0, [1, 28, 28], 10, 1, init)))
    assert found == pytest.approx(expected, rel=0.02)


@SECTIONS
def test_keras_biases_are_0_and_pytorchs_are_not(section: Any) -> None:
    for init in ("keras", "torch"):
        model = build(section, [1, 8, 8], 10, seed=1, init=init)
        layers = [layer for layer in model.modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]
        biases = [layer.bias for layer in layers if layer.bias is not None]
        assert biases
        assert all(bias.any().item() is (init == "torch") for bias in biases)


def state(seed: int, init: Framework) -> dict[str, Tensor]:
    return build(SMALL, [1, 8, 8], 10, seed, init).state_dict()


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def test_equal_seeds_give_equal_keras_weights_and_the_global_generator_stays() -> None:
    torch.manual_seed(1)
    first, before = state(7, "keras"), torch.get_rng_state()
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(5)
    assert equal(first, state(7, "keras"))
    assert not equal(first, state(8, "keras"))
    assert not equal(first, state(7, "torch"))


def test_the_whitening_is_not_initialised_anew() -> None:
    ours, theirs = (build(WHITENED, [1, 8, 8], 10, 1, init) for init in ("torch", "keras"))
    for name, tensor in ours.get_submodule("whitening").state_dict().items():
        assert torch.equal(theirs.state_dict()[f"whitening.{name}"], tensor)
    assert not torch.equal(kernels_of(ours)[0], kernels_of(theirs)[0])


@pytest.mark.parametrize(("batch_norm", "momentum", "eps"), [("torch", 0.1, 1e-5), ("keras", 0.01, 1e-3)])
@pytest.mark.parametrize("section", [SMALL, RESNET, PREACT, WHITENED])
def test_the_settings_of_batch_normalisation_reach_every_layer(
    section: Any, batch_norm: Framework, momentum: float, eps: float
) -> None:
    model = build(section, [1, 8, 8], 10, 1, batch_norm=batch_norm)
    norms = [layer for layer in model.modules() if isinstance(layer, nn.BatchNorm2d)]
    assert norms
    assert {(norm.momentum, norm.eps) for norm in norms} == {(momentum, eps)}


def test_keras_momentum_is_what_stays_of_the_statistics() -> None:
    (norm, *_) = (
        layer
        for layer in build(SMALL, [1, 8, 8], 10, 1, batch_norm="keras").modules()
        if isinstance(layer, nn.BatchNorm2d)
    )
    norm.train()(torch.full((4, 8, 2, 2), 5.0))
    assert norm.running_mean is not None
    torch.testing.assert_close(norm.running_mean, torch.full((8,), 0.99 * 0 + 0.01 * 5))


def test_an_experiment_says_both(recipe: Recipe) -> None:
    keras, plain = (
        build_model(recipe(init=framework, batch_norm=framework), [1, 8, 8], 10)
        for framework in ("keras", "torch")
    )
    assert not keras.state_dict()["output.bias"].any()
    assert plain.state_dict()["output.bias"].all()
    assert keras.get_submodule("block1_norm1").eps == 1e-3
    assert plain.get_submodule("block1_norm1").eps == 1e-5
