import pytest
import torch
import torchvision.models.resnet as torchvision
from torch import nn

from convlab.models.build import build
from convlab.models.resnet import BasicBlock
from convlab.models.summary import layers_of
from convlab.schema import PreAct, ResNet

RESNET = ResNet(name="resnet", widths=[8, 16], blocks=[2, 1], activation="relu")
PREACT = PreAct(name="preact", stem=8, widths=[8, 16], activation="silu")


def residual(model: nn.Module, name: str) -> nn.Module:
    """A block of which every convolution is zero but that of its shortcut."""
    block = model.get_submodule(name).eval()
    for child in ("conv1", "conv2"):
        for parameter in block.get_submodule(child).parameters():
            nn.init.zeros_(parameter)
    return block


def test_the_identity_shortcut_of_resnet_passes_the_input_on() -> None:
    block = residual(build(RESNET, [3, 8, 8], 10, 1), "stage1_block1")
    images = torch.randn(2, 8, 8, 8)
    torch.testing.assert_close(block(images), images.relu(), rtol=0, atol=0)


def test_the_identity_shortcut_of_preact_passes_the_input_on_untouched() -> None:
    block = residual(build(PREACT, [1, 8, 8], 10, 1), "stage1_block2")
    images = torch.randn(2, 8, 8, 8)
    assert torch.equal(block(images), images)


def test_where_the_shape_changes_the_shortcut_is_a_1x1_convolution() -> None:
    model = build(PREACT, [1, 8, 8], 10, 1)
    images = torch.randn(2, 8, 8, 8)
    for name in ("stage1_block1", "stage2_block1"):  # R4's Block1 has one even where the width stays
        block = residual(model, name)
        assert block.shortcut.kernel_size == (1, 1)
        assert block.shortcut.stride == (2, 2)
        assert torch.equal(block(images), block.shortcut(images))
    projection = build(RESNET, [3, 8, 8], 10, 1).get_submodule("stage2_block1.shortcut")
    assert [type(layer) for layer in projection.modules()][1:] == [nn.Conv2d, nn.BatchNorm2d]


def test_pre_activation_normalises_and_activates_before_each_convolution() -> None:
    layers = layers_of(build(PREACT, [1, 8, 8], 10, 1), [1, 8, 8])
    inside = [layer.kind for layer in layers if layer.name.startswith("stage1_block2.")]
    assert inside == ["BatchNorm2d", "SiLU", "Conv2d"] * 2
    assert not any(layer.kind == "SiLU" for layer in layers if layer.name.startswith("stem"))


def test_resnet_normalises_after_each_convolution_and_activates_after_the_addition() -> None:
    layers = layers_of(build(RESNET, [3, 8, 8], 10, 1), [3, 8, 8])
    inside = [layer.kind for layer in layers if layer.name.startswith("stage1_block1.")]
    assert inside == ["Conv2d", "BatchNorm2d", "ReLU"] * 2


@pytest.mark.parametrize("network", [RESNET, PREACT])
@pytest.mark.parametrize("size", [1, 7, 8])
def test_residual_networks_take_every_size(network: ResNet | PreAct, size: int) -> None:
    model = build(network, [1, size, size], 10, 1).eval()
    assert model(torch.zeros(2, 1, size, size)).shape == (2, 10)


@pytest.mark.parametrize(("channels", "stride"), [(8, 1), (16, 1), (16, 2)])
def test_a_basic_block_is_torchvisions(channels: int, stride: int) -> None:
    torch.manual_seed(1)
    ours = BasicBlock(8, channels, stride, nn.ReLU).double()
    projection = None
    if stride != 1 or channels != 8:
        projection = nn.Sequential(nn.Conv2d(8, channels, 1, stride, bias=False), nn.BatchNorm2d(channels))
    theirs = torchvision.BasicBlock(8, channels, stride, projection).double()
    for weight in ours.parameters():
        nn.init.normal_(weight, std=0.3)
    names = {"norm": "bn", "shortcut": "downsample"}

    def named(name: str) -> str:
        for our, their in names.items():
            name = name.replace(our, their)
        return name

    theirs.load_state_dict({named(name): tensor for name, tensor in ours.state_dict().items()})
    images = torch.randn(4, 8, 7, 7, dtype=torch.float64)
    found = []
    for block in (ours, theirs):
        seen = images.clone().requires_grad_()
        output = block(seen)
        (output * output.detach().cos()).sum().backward()
        found.append((output, seen.grad))
    torch.testing.assert_close(*found, rtol=1e-12, atol=1e-12)
    assert (found[0][0] > 0).any()
    gradients = {named(name): weight.grad for name, weight in ours.named_parameters()}
    for name, weight in theirs.named_parameters():
        torch.testing.assert_close(gradients[name], weight.grad, rtol=1e-10, atol=1e-10)
    for name, tensor in ours.state_dict().items():  # and what normalisation has gathered
        torch.testing.assert_close(tensor, theirs.state_dict()[named(name)], rtol=1e-12, atol=0)
    torch.testing.assert_close(ours.eval()(images), theirs.eval()(images), rtol=1e-12, atol=1e-12)
