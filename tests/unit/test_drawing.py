from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
from matplotlib.figure import Figure
from repository import ROOT
from torch import nn

from convlab.config import load_params
from convlab.data.catalogue import DATASETS
from convlab.figures.drawing import drawing
from convlab.figures.steps import DrawnStep, steps_of
from convlab.figures.style import save, styled
from convlab.models.build import build_model
from convlab.models.summary import summarise

PARAMS = load_params(ROOT / "params.yaml")


def network(name: str) -> tuple[nn.Module, list[int]]:
    experiment = PARAMS.experiments[name]
    classes = len(DATASETS[experiment.dataset].classes)
    return build_model(experiment, experiment.input_shape, classes), experiment.input_shape


def steps(name: str) -> dict[str, DrawnStep]:
    model, shape = network(name)
    return {step.label[0]: step for step in steps_of(model, summarise(model, shape))}


@pytest.fixture(scope="module", params=PARAMS.experiments)
def figure(request: pytest.FixtureRequest) -> Iterator[Figure]:
    """Yield the drawing of an experiment's network, made once for all that is asked of it."""
    with styled():
        drawn = drawing(request.param, *network(request.param))
        drawn.draw_without_rendering()
        yield drawn
    plt.close(drawn)


def test_no_text_overlaps_another_or_is_cut(figure: Figure) -> None:
    boxes = {text: text.get_window_extent() for text in figure.axes[0].texts}
    for text, box in boxes.items():
        assert box.x0 >= 0, text
        assert box.y0 >= 0, text
        assert box.x1 <= figure.bbox.width, text
        assert box.y1 <= figure.bbox.height, text
    for (one, first), (other, second) in combinations(boxes.items(), 2):
        assert not first.overlaps(second), (one, other)


def test_boxes_are_within_the_drawing(figure: Figure) -> None:
    axes = figure.axes[0]
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    for patch in axes.patches:
        box = patch.get_path().get_extents(patch.get_patch_transform())
        assert left < box.x0 <= box.x1 < right, patch
        assert low < box.y0 <= box.y1 < high, patch


def test_the_same_drawing_has_the_same_bytes(tmp_path: Path) -> None:
    model, shape = network("fashion_preact")
    paths = [save(drawing("twice", model, shape), tmp_path / f"{number}.svg") for number in range(2)]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    text = paths[0].read_text()
    assert "<svg" in text
    assert "<dc:date>" not in text


def test_a_step_is_a_convolution_with_what_follows_it() -> None:
    assert steps("cifar10_grey")["block1_conv2"].label == [
        "block1_conv2",
        "conv 3×3",
        "ReLU · BN",
        "32 × 32 × 32",
    ]
    assert steps("cifar10_grey")["block3_pool"].label == [
        "block3_pool",
        "max pool 2×2",
        "dropout 0.4 · flatten",
        "128 × 4 × 4 → 2,048",
    ]
    assert steps("mnist_vgg")["dense1"].label == ["dense1", "linear 256", "ReLU · dropout 0.5", "256"]


def test_every_layer_but_flatten_is_drawn_once() -> None:
    for name in PARAMS.experiments:
        model, shape = network(name)
        layers = [layer for layer in summarise(model, shape).layers if ".shortcut" not in layer.name]
        drawn = sum(len(step.slabs) + len(step.after) for step in steps(name).values())
        assert drawn == len([layer for layer in layers if layer.kind != "Flatten"]) + 1, name  # and the image


def test_a_residual_block_is_one_step_with_its_shortcut() -> None:
    found = steps("cifar10_resnet18")
    assert len(found) == 12  # input, stem, eight blocks, pooling, output
    assert found["stage1_block1"].shortcut == "identity"
    assert found["stage2_block1"].shortcut == "conv 1×1, stride 2 · BN"
    assert [slab.kind for slab in found["stage1_block1"].after] == ["activation"]
    assert found["stage2_block1"].label[1:] == [
        "conv 3×3, stride 2 · BN · ReLU",
        "conv 3×3 · BN · ReLU",
        "128 × 16 × 16",
    ]


def test_nothing_follows_the_addition_of_a_pre_activation_block() -> None:
    found = steps("fashion_preact")
    kinds = [slab.kind for slab in found["stage1_block1"].slabs]
    assert kinds == ["batch normalisation", "activation", "convolution"] * 2
    assert found["stage1_block1"].after == []
    assert found["stage1_block1"].shortcut == "conv 1×1, stride 2"
    assert found["stage1_block2"].shortcut == "identity"


def test_boxes_shrink_with_the_maps_and_thicken_with_the_channels() -> None:
    convolutions = [step.slabs[0] for label, step in steps("mnist_vgg").items() if "_conv1" in label]
    assert [slab.kind for slab in convolutions] == ["convolution"] * 3
    heights, widths = [slab.height for slab in convolutions], [slab.thickness for slab in convolutions]
    assert heights == sorted(set(heights), reverse=True)
    assert widths == sorted(set(widths))
