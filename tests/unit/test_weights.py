"""Which weights an L2 penalty covers, their norms, their hash."""

import numpy as np
import pytest
import torch
from torch import nn
from training import MODEL

from convlab.models.build import build
from convlab.models.weights import hash_weights, kernel_norm, penalised, weight_norm
from convlab.schema import CNN

SECTION = CNN.model_validate(MODEL)


@pytest.fixture
def network() -> nn.Module:
    """A network with statistics of batch normalisation, and nothing in it that is 0 or 1 by default."""
    torch.manual_seed(0)
    model = build(SECTION, [1, 8, 8], 10, 1)
    for _ in range(3):
        model.train()(torch.randn(16, 1, 8, 8))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn(parameter.shape)
    return model


def names(model: nn.Module, weights: list[torch.Tensor]) -> list[str]:
    by_id = {id(parameter): name for name, parameter in model.named_parameters()}
    return [by_id[id(weight)] for weight in weights]


def test_a_penalty_covers_kernels_or_the_biases_of_the_same_layers_too(network: nn.Module) -> None:
    layers = [f"block{block}_conv{number}" for block in (1, 2) for number in (1, 2)] + ["dense1", "output"]
    assert names(network, penalised(network, "kernels")) == [f"{name}.weight" for name in layers]
    both = names(network, penalised(network, "kernels_and_biases"))
    assert both == [f"{name}.{kind}" for kind in ("weight", "bias") for name in layers]


def test_what_is_not_trained_is_not_penalised() -> None:
    white = build(SECTION.model_validate(MODEL | {"whitening": {"kernel": 2, "eps": 0.1}}), [1, 8, 8], 10, 1)
    found = names(white, penalised(white, "kernels_and_biases"))
    assert len(found) == 12
    assert not [name for name in found if name.startswith("whitening")]


def test_layers_without_biases_have_none_to_penalise() -> None:
    model = nn.Sequential(nn.Conv2d(1, 1, 2, bias=False), nn.Flatten(), nn.Linear(2, 1, bias=False))
    assert len(penalised(model, "kernels_and_biases")) == 2


def test_the_kernel_norm_is_the_root_of_the_sum_of_squares_of_the_kernels(network: nn.Module) -> None:
    kernels = [
        tensor.double().numpy().ravel()
        for name, tensor in network.state_dict().items()
        if name.endswith("weight") and "norm" not in name
    ]
    assert kernel_norm(network) == pytest.approx(np.linalg.norm(np.concatenate(kernels)), rel=1e-12)


def test_the_kernel_norm_of_a_network_of_threes() -> None:
    model = nn.Sequential(nn.Conv2d(1, 1, 2), nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(2, 1))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(3)
    assert kernel_norm(model) == pytest.approx((4 * 9 + 2 * 9) ** 0.5)


def test_the_weight_norm_is_the_sum_of_the_norms_of_all_that_keras_calls_weights(network: nn.Module) -> None:
    arrays = {name: tensor.double().numpy() for name, tensor in network.state_dict().items()}
    kinds = ("weight", "bias", "running_mean", "running_var")
    counted = [array for name, array in arrays.items() if name.endswith(kinds)]
    assert len(counted) == 6 * 2 + 4 * 4  # and not how many batches there were
    assert weight_norm(network) == pytest.approx(sum(map(np.linalg.norm, counted)), rel=1e-12)


def test_the_hash_changes_with_a_bit_and_with_nothing_else(network: nn.Module) -> None:
    before = hash_weights(network)
    assert len(before) == 16
    assert hash_weights(network.eval().to(memory_format=torch.channels_last)) == before
    for name in ("block1_conv1.weight", "block1_norm1.running_var", "output.bias"):
        bits = network.state_dict()[name].view(torch.int32)
        bits[0] ^= 1
        assert hash_weights(network) != before
        bits[0] ^= 1
    assert hash_weights(network) == before


def test_the_hash_tells_equal_arrays_under_other_names_apart() -> None:
    one, other = nn.ParameterDict({"a": torch.ones(2)}), nn.ParameterDict({"b": torch.ones(2)})
    assert hash_weights(one) != hash_weights(other)
