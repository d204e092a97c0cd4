"""The speed run's network and its optimiser, against their definition (Jordan, 2024)."""

import math
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import nn
from training import Recipe

from convlab.models.build import build
from convlab.models.layers import InfeasibleGeometry
from convlab.models.whitening import compute_whitening
from convlab.schema import SpeedRun
from convlab.schema.training import Muon as Settings
from convlab.train.optimizers.muon import Muon, build_muon, orthogonalised

NETWORK: dict[str, Any] = {
    "name": "speedrun",
    "patches": {"kernel": 2, "eps": 5.0e-4},
    "widths": [30, 40],
    "activation": "gelu",
}
SGD = {"lr": 0.05, "lr_linear": 0.6, "momentum": 0.85, "nesterov": True}
MUON = {"name": "muon", "momentum": 0.6, "nesterov": True, "steps": 3, "normalise": True, "sgd": SGD}


def network(size: int = 16) -> nn.Module:
    return build(SpeedRun(**NETWORK), [3, size, size], 10, seed=0)


def test_its_convolutions_copy_their_channels_at_first() -> None:
    model = network()
    first = model.get_submodule("block1_conv1")
    maps = torch.randn(2, 24, 5, 5)
    torch.testing.assert_close(first(maps)[:, :24], maps)


def test_what_learns_are_kernels_biases_and_the_linear_layer() -> None:
    learning = {name for name, weight in network().named_parameters() if weight.requires_grad}
    kernels = {f"block{block}_conv{number}.weight" for block in (1, 2) for number in (1, 2)}
    biases = {f"block{block}_norm{number}.bias" for block in (1, 2) for number in (1, 2)}
    assert learning == kernels | biases | {"patches.bias", "output.weight"}


@torch.no_grad()
def test_its_logits_are_small_whatever_the_width() -> None:
    model = network()
    images = torch.randn(64, 3, 16, 16)
    compute_whitening(model, images, nn.Identity())
    assert model(images).shape == (64, 10)
    assert model.get_submodule("output").weight.std() == pytest.approx(1.0)  # type: ignore[union-attr]
    assert model(images).std() < 0.5


def test_an_image_that_is_too_small_is_refused() -> None:
    with pytest.raises(InfeasibleGeometry, match="leaves a 2×2 map, too small for its 3×3 pooling"):
        network(size=11)


def test_a_step_gives_each_kernel_its_norm_and_moves_it_along_the_orthogonal_update() -> None:
    torch.manual_seed(0)
    kernel = nn.Parameter(torch.randn(8, 4, 3, 3))
    before, gradient = kernel.detach().clone(), torch.randn(8, 4, 3, 3)
    kernel.grad = gradient
    rest = torch.optim.SGD([nn.Parameter(torch.zeros(1))], 0.1)
    Muon([kernel], rest, 0.1, 0.0, False, 0.0, torch.float32, steps=3, normalise=True).step()
    update = orthogonalised(gradient.flatten(1), 3).reshape(8, 4, 3, 3)
    torch.testing.assert_close(kernel.detach(), before * math.sqrt(8) / before.norm() - 0.1 * update)


def test_biases_and_the_linear_layer_have_rates_of_their_own_of_the_summed_loss(recipe: Recipe) -> None:
    settings = recipe(optimizer=MUON, lr=0.24, weight_decay=0.004, batch_size=50)
    optimizer = build_muon(network(), Settings(**MUON), settings)
    kernels, biases, linear = optimizer.param_groups
    assert [group["lr"] for group in (kernels, biases, linear)] == pytest.approx([0.24, 2.5, 30.0])
    assert {weight.ndim for weight in biases["params"]} == {1}
    assert [weight.shape for weight in linear["params"]] == [(10, 40)]
    # a step of plain SGD takes off `weight_decay` of a weight
    assert biases["lr"] * biases["weight_decay"] == pytest.approx(0.004)
    assert linear["lr"] * linear["weight_decay"] == pytest.approx(0.004)


@pytest.mark.parametrize("rest", [{}, {"sgd": SGD, "adamw": {"lr": 0.1, "betas": [0.9, 0.9], "eps": 1e-8}}])
def test_exactly_one_optimiser_takes_the_rest(rest: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="exactly one of them"):
        Settings(name="muon", momentum=0.6, nesterov=True, **rest)
