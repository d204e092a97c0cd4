import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from training import MODEL

from convlab.models.build import build, build_model, load_model
from convlab.models.layers import Conv2dSame, InfeasibleGeometry
from convlab.models.summary import layers_of
from convlab.models.weights import kernels_of
from convlab.schema import CNN, Experiment


def section(**changes: Any) -> CNN:
    return CNN.model_validate(MODEL | {"dropout": 0.5} | changes)


def names(model: nn.Module) -> list[str]:
    return [name for name, _ in model.named_children()]


def shapes(model: nn.Module, input_shape: list[int]) -> dict[str, tuple[int, ...]]:
    return {layer.name: layer.output_shape for layer in layers_of(model, input_shape)}


R0 = section(
    filters=[32, 64, 128],
    kernels=[3, 3, 3],
    strides=[1, 1, 1],
    pools=[2, 2, 2],
    block_dropout=[0.0, 0.0, 0.0],
    dense=[256],
)

# --------------------------------------------------------------------------------------------- 'same' padding


def tensorflow_same(images: Tensor, layer: Conv2dSame) -> Tensor:
    """TensorFlow's definition: what cannot be padded evenly goes to the right and the bottom."""
    (kernel, _), (stride, _) = layer.weight.shape[2:], layer.stride
    sides: list[int] = []
    for size in reversed(images.shape[2:]):  # F.pad starts with the last dimension
        # "if size % stride == 0: max(kernel - stride, 0), else: max(kernel - size % stride, 0)"
        total = max(kernel - (size % stride or stride), 0)
        sides += [total // 2, total - total // 2]
    return F.conv2d(F.pad(images, sides), layer.weight, layer.bias, layer.stride)


@pytest.mark.parametrize("kernel", range(1, 8))
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_a_same_convolution_is_tensorflows(kernel: int, stride: int) -> None:
    generator = torch.Generator().manual_seed(0)
    layer = Conv2dSame(2, 3, kernel, stride)
    for height, width in itertools.product((1, 2, 5, 7, 8, 28), (1, 4, 9, 28)):
        images = torch.randn(2, 2, height, width, generator=generator)
        found = layer(images)
        assert found.shape == (2, 3, -(-height // stride), -(-width // stride))
        torch.testing.assert_close(found, tensorflow_same(images, layer), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_without_strides_it_is_pytorchs_own(kernel: int) -> None:
    layer = Conv2dSame(2, 3, kernel)
    images = torch.randn(1, 2, 9, 8)
    expected = F.conv2d(images, layer.weight, layer.bias, padding="same")
    torch.testing.assert_close(layer(images), expected, atol=1e-6, rtol=1e-5)


def test_an_even_padding_too_much_goes_right_and_below() -> None:
    layer = Conv2dSame(1, 1, kernel=2, bias=False)
    nn.init.ones_(layer.weight)
    found = layer(torch.ones(1, 1, 2, 2))
    assert found.tolist() == [[[[4, 2], [2, 1]]]]


# ------------------------------------------------------------------------------------------------ the network


def test_r0s_network_has_r0s_shapes() -> None:
    found = shapes(build(R0, [1, 28, 28], 10, 1), [1, 28, 28])
    assert found["block1_conv1"] == found["block1_conv2"] == (32, 28, 28)
    assert found["block1_pool"] == (32, 14, 14)
    assert found["block2_conv1"] == found["block2_conv2"] == (64, 14, 14)
    assert found["block2_pool"] == (64, 7, 7)
    assert found["block3_conv1"] == found["block3_conv2"] == (128, 7, 7)
    assert found["block3_pool"] == (128, 3, 3)
    assert found["flatten"] == (1152,)
    assert found["dense1"] == (256,)
    assert found["output"] == (10,)


@pytest.mark.parametrize("kernels", [[3, 3, 3], [5, 3, 3], [5, 5, 3]])
def test_r0s_network_has_the_parameters_that_the_formula_gives(kernels: list[int]) -> None:
    expected, channels = 0, 1
    for filters, kernel in zip([32, 64, 128], kernels, strict=True):
        for inputs in (channels, filters):
            expected += kernel**2 * inputs * filters + filters  # weights and biases
            expected += 2 * filters  # the normalisation's scale and shift
        channels = filters
    expected += 128 * 3 * 3 * 256 + 256
    expected += 256 * 10 + 10
    model = build(R0.model_copy(update={"kernels": kernels}), [1, 28, 28], 10, 1)
    assert sum(parameter.numel() for parameter in model.parameters()) == expected


@pytest.mark.parametrize(
    ("strides", "size", "features"),
    [([1, 1], 8, 16 * 2 * 2), ([1, 2], 8, 16), ([2, 1], 8, 16), ([1, 1], 9, 16 * 2 * 2), ([1, 2], 7, 16)],
)
def test_strides_and_poolings_shrink_the_map(strides: list[int], size: int, features: int) -> None:
    model = build(section(strides=strides), [1, size, size], 10, 1)
    assert shapes(model, [1, size, size])["flatten"] == (features,)


def test_the_stride_of_a_block_sits_on_its_first_convolution() -> None:
    found = shapes(build(section(strides=[2, 1]), [1, 8, 8], 10, 1), [1, 8, 8])
    assert found["block1_conv1"] == found["block1_conv2"] == (8, 4, 4)


def test_lists_name_the_kernel_and_stride_of_each_convolution() -> None:
    model = build(section(kernels=[[5, 2], 3], strides=[[2, 2], [1, 2]]), [1, 32, 32], 10, 1)
    convolutions = [layer for layer in model.modules() if isinstance(layer, Conv2dSame)]
    assert [layer.kernel for layer in convolutions] == [5, 2, 3, 3]
    assert [layer.step for layer in convolutions] == [2, 2, 1, 2]
    assert shapes(model, [1, 32, 32])["block2_pool"] == (16, 1, 1)


@pytest.mark.parametrize(
    ("norm", "block"),
    [
        ("none", ["conv1", "relu1", "conv2", "relu2", "pool"]),
        ("convolution", ["conv1", "norm1", "relu1", "conv2", "norm2", "relu2", "pool"]),
        ("block", ["conv1", "relu1", "conv2", "relu2", "norm", "pool"]),
    ],
)
def test_a_block_is_normalised_where_it_says(norm: str, block: list[str]) -> None:
    found = names(build(section(norm=norm), [1, 8, 8], 10, 1))
    assert [name.removeprefix("block1_") for name in found if name.startswith("block1_")] == block


def test_a_pooling_of_1_and_a_dropout_of_0_are_left_out() -> None:
    changes: dict[str, Any] = {"pools": [2, 1], "block_dropout": [0.0, 0.25], "dropout": 0.0}
    model = build(section(**changes), [1, 8, 8], 10, 1)
    found = [name for name in names(model) if name.endswith(("pool", "dropout"))]
    assert found == ["block1_pool", "block2_dropout"]
    dropout = model.get_submodule("block2_dropout")
    assert isinstance(dropout, nn.Dropout)
    assert dropout.p == 0.25


@pytest.mark.parametrize(
    ("activation", "kind"), [("relu", nn.ReLU), ("silu", nn.SiLU), ("gelu", nn.GELU), ("tanh", nn.Tanh)]
)
def test_the_activation_is_the_one_named(activation: str, kind: type[nn.Module]) -> None:
    model = build(section(activation=activation), [1, 8, 8], 10, 1)
    assert sum(type(layer) is kind for layer in model.modules()) == 5


@pytest.mark.parametrize(("dense", "layers"), [([], 1), ([32], 2), ([32, 16], 3)])
def test_there_may_be_any_number_of_dense_layers(dense: list[int], layers: int) -> None:
    model = build(section(dense=dense), [1, 8, 8], 10, 1)
    assert sum(isinstance(layer, nn.Linear) for layer in model.modules()) == layers
    assert model(torch.zeros(2, 1, 8, 8)).shape == (2, 10)


@pytest.mark.parametrize(
    ("strides", "shape", "reason"),
    [
        ([4, 4], [1, 8, 8], "block 2 has a 1×1 map left"),
        ([8, 1], [1, 8, 8], "block 1 has a 1×1 map left"),
        ([1, 4], [1, 8, 8], "block 2 has a 1×1 map left"),
        ([1, 1], [1, 8, 3], "block 2 has a 4×1 map left"),
    ],
)
def test_a_network_that_leaves_nothing_of_the_image_is_infeasible(
    strides: list[int], shape: list[int], reason: str
) -> None:
    with pytest.raises(InfeasibleGeometry) as error:
        build(section(strides=strides), shape, 10, 1)
    assert reason in str(error.value)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("strides", list(itertools.product((1, 2, 3), repeat=2)))
@pytest.mark.parametrize("size", [5, 8])
def test_a_network_runs_or_nothing_is_left_to_pool(strides: tuple[int, int], size: int) -> None:
    left, fits = size, True
    for stride in strides:  # each convolution is followed by a pooling of 2 × 2
        left = -(-left // stride)
        fits, left = fits and left >= 2, left // 2
    if not fits:
        with pytest.raises(InfeasibleGeometry):
            build(section(strides=list(strides)), [1, size, size], 10, 1)
        return
    model = build(section(strides=list(strides)), [1, size, size], 10, 1)
    assert model(torch.zeros(2, 1, size, size)).shape == (2, 10)


# ---------------------------------------------------------------------------------------- the initial weights


def state(seed: int) -> list[Tensor]:
    return list(build(section(), [1, 8, 8], 10, seed).state_dict().values())


def test_equal_seeds_give_equal_weights_whatever_ran_before() -> None:
    torch.manual_seed(1)
    first = state(seed=7)
    torch.manual_seed(2)
    torch.rand(5)
    assert all(torch.equal(a, b) for a, b in zip(first, state(seed=7), strict=True))


def test_other_seeds_give_other_weights() -> None:
    assert not all(torch.equal(a, b) for a, b in zip(state(seed=7), state(seed=8), strict=True))


def test_building_a_network_does_not_disturb_the_global_generator() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    build(section(), [1, 8, 8], 10, 7)
    assert torch.equal(torch.get_rng_state(), before)


def test_an_infeasible_network_does_not_disturb_it_either() -> None:
    before = torch.get_rng_state()
    with pytest.raises(InfeasibleGeometry):
        build(section(strides=[4, 4]), [1, 8, 8], 10, 7)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_weights_of_an_experiment_depend_on_its_seed(recipe: Callable[..., Experiment]) -> None:
    def first(seed: int) -> Tensor:
        return kernels_of(build_model(recipe(seed=seed), [1, 8, 8], 10))[0]

    assert torch.equal(first(1), first(1))
    assert not torch.equal(first(1), first(2))


# ----------------------------------------------------------------------------------- weights, read and saved


def test_kernels_are_the_weights_of_convolutions_and_linear_layers_only() -> None:
    model = build(section(), [1, 8, 8], 10, 1)
    expected = [
        parameter
        for name, parameter in model.named_parameters()
        if name.endswith("weight") and "norm" not in name
    ]
    assert [id(kernel) for kernel in kernels_of(model)] == [id(parameter) for parameter in expected]


def test_trained_weights_read_back_into_the_same_network(
    recipe: Callable[..., Experiment], digits: Any, tmp_path: Any
) -> None:
    from convlab.files import write_tensors

    model = build_model(recipe(seed=5), [1, 8, 8], 10)
    write_tensors(tmp_path / "model.safetensors", model.state_dict())
    found = load_model(recipe(seed=6), digits.statistics, tmp_path / "model.safetensors")
    for name, tensor in model.state_dict().items():
        assert torch.equal(found.state_dict()[name], tensor)
