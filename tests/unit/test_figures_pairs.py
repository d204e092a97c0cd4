import matplotlib.pyplot as plt
import pytest
import torch
from torch import nn

from convlab.figures.features import activations, convolutions, spread
from convlab.figures.gradcam import gradcam, gradcam_figure, split_after_last_conv
from convlab.figures.pair_figures import pair_curve, pair_maps
from convlab.figures.pairs import find_pairs, pair_distances, pair_ratios
from convlab.figures.samples import Predictions
from convlab.figures.style import styled
from convlab.models.build import build

CLASSES = ["a", "b"]
FAMILIES = {
    "cnn": {
        "filters": [3, 4],
        "convolutions": 1,
        "kernels": [3, 3],
        "strides": [1, 1],
        "pools": [2, 1],
        "norm": "block",
        "activation": "relu",
        "block_dropout": [0.0, 0.2],
        "dense": [5],
        "dropout": 0.5,
    },
    "resnet": {"widths": [3, 4], "blocks": [1, 1], "activation": "relu"},
    "preact": {"stem": 3, "widths": [4], "activation": "silu"},
}


@pytest.fixture(autouse=True)
def _close_figures():
    with styled():
        yield
    plt.close("all")


def constant_images(*values):
    """1×1×2 images of one colour each: their distances are √2 times the differences of the values."""
    return torch.tensor(values).float().view(-1, 1, 1, 1).expand(-1, 1, 1, 2).contiguous()


def said(labels, predicted, confidence=0.9):
    guess = torch.tensor(predicted)
    probabilities = torch.full((len(guess), 2), 1 - confidence)
    probabilities[torch.arange(len(guess)), guess] = confidence
    return Predictions(probabilities, torch.tensor(labels), CLASSES)


# Right samples of a at 0 and 1, of b at 10 and 13; number 4 is an a at 8, taken for b.
IMAGES = constant_images(0, 1, 10, 13, 8)
PREDICTIONS = said([0, 0, 1, 1, 0], [0, 0, 1, 1, 1])


def doubling():
    model = nn.Sequential(
        nn.Conv2d(1, 1, 1, bias=False), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(2, 2)
    )
    nn.init.constant_(model[0].weight, -2.0)  # negative: a ReLU that reached the maps would leave nothing
    return model


def family(name, section_of, classes=2):
    return build(section_of(name), [1, 12, 12], classes, seed=1)


@pytest.fixture(scope="module")
def section_of():
    from convlab.schema import CNN, PreAct, ResNet

    sections = {"cnn": CNN, "resnet": ResNet, "preact": PreAct}
    return lambda name: sections[name].model_validate({"name": name, **FAMILIES[name]})


def test_pairs_are_the_nearest_right_samples_in_pixels():
    pairs = find_pairs(IMAGES, PREDICTIONS)
    assert [part.tolist() for part in pairs] == [[4], [2], [1], [3]]


def test_ratios_are_distances_over_the_median_between_the_two_classes():
    ratios = pair_ratios(doubling(), IMAGES, PREDICTIONS, find_pairs(IMAGES, PREDICTIONS))
    # Between right samples of a and b lie 10, 13, 9 and 12: half of them are 10 or less. A convolution that
    # only doubles leaves every ratio as it is.
    assert ratios.layers == ["input", "0"]
    for kind, distance in (("taken_for", 2), ("own_class", 7), ("two_right", 3)):
        assert ratios.kinds[kind].flatten().tolist() == pytest.approx([distance / 10] * 2)


def test_the_summary_counts_who_is_nearer_to_the_class_it_was_taken_for():
    ratios = pair_ratios(doubling(), IMAGES, PREDICTIONS, find_pairs(IMAGES, PREDICTIONS))
    summary = pair_distances(ratios, PREDICTIONS)
    assert (summary["wrong_samples"], summary["pairs"]) == (1, 1)
    layer = summary["layers"]["0"]
    assert layer["nearer_to_taken_for"] == 1.0
    assert layer["taken_for"] == {"first_quartile": 0.2, "median": 0.2, "third_quartile": 0.2}


def test_only_the_most_confident_pairs_are_measured():
    predictions = said([0, 0, 1, 1, 0, 0, 0], [0, 0, 1, 1, 1, 1, 1])
    predictions.probabilities[5] = torch.tensor([0.01, 0.99])
    images = constant_images(0, 1, 10, 13, 8, 7, 9)
    assert find_pairs(images, predictions, limit=2).wrong.tolist() == [5, 4]


@pytest.mark.parametrize(
    ("labels", "predicted"),
    [
        ([0, 0, 1, 1, 0], [0, 0, 1, 1, 0]),
        ([0, 0, 1, 1, 0], [1, 1, 0, 0, 1]),
        ([0, 0, 1, 1, 1], [0, 0, 1, 0, 0]),
    ],
    ids=["nothing wrong", "nothing right", "too few right ones of a class"],
)
def test_without_pairs_there_are_no_numbers(labels, predicted):
    predictions = said(labels, predicted)
    assert find_pairs(IMAGES, predictions).wrong.tolist() == []
    summary = pair_distances(None, predictions)
    assert summary["pairs"] == 0
    assert summary["layers"] == {}


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_is_measured_and_drawn(name, section_of):
    model = family(name, section_of)
    labels = torch.arange(40) % 2
    predictions = Predictions(torch.rand(40, 2, generator=torch.manual_seed(1)), labels, CLASSES)
    images = torch.rand(40, 1, 12, 12)
    pairs = find_pairs(images, predictions)
    ratios = pair_ratios(model, images, predictions, pairs)
    assert len(ratios.layers) == 1 + len(convolutions(model))
    assert not any("shortcut" in layer for layer in ratios.layers)
    assert all(values.isfinite().all() for values in ratios.kinds.values())
    drawn = pair_maps("net", model, images, predictions, pairs, ratios)
    assert "taken for" in drawn.get_suptitle()
    ticks = [
        text.get_text()
        for text in pair_curve("net", pair_distances(ratios, predictions)).axes[0].get_xticklabels()
    ]
    assert ticks == ratios.layers


def test_a_shortcut_is_no_depth_of_its_own(section_of):
    model = family("resnet", section_of)
    one_by_one = [
        layer for layer in model.modules() if isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1)
    ]
    assert len(one_by_one) == 1
    assert [*activations(model, torch.rand(1, 1, 12, 12))] == [*convolutions(model)]
    assert [*convolutions(model)][-1] == "stage2_block1.conv2"


def test_depths_are_the_first_the_middle_and_the_last():
    assert spread(list("abcde"), 3) == ["a", "c", "e"]
    assert spread(list("ab"), 3) == ["a", "b"]


def by_hand():
    """Its maps are the image's two channels, where positive; a logit is a weighted sum of their means."""
    model = nn.Sequential(
        nn.Conv2d(2, 2, 1, bias=False),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(2, 3, bias=False),
    )
    model[0].weight.data = torch.eye(2).view(2, 2, 1, 1)
    model[4].weight.data = torch.tensor([[1.0, 0.0], [2.0, -1.0], [-1.0, -1.0]])
    return model


def test_grad_cam_is_what_it_is_by_hand():
    first, second = torch.tensor([[4.0, 0.0], [2.0, -3.0]]), torch.tensor([[0.0, 1.0], [8.0, 0.0]])
    image = torch.stack([first, second])
    heat = gradcam(by_hand(), image.expand(3, 2, 2, 2).clone(), torch.tensor([0, 1, 2]))
    # α is a class's weights, over the four pixels; what is left after ReLU is divided by its maximum.
    assert heat[0].tolist() == [[1.0, 0.0], [0.5, 0.0]]  # first alone: 4, 0, 2, 0
    assert heat[1].tolist() == [[1.0, 0.0], [0.0, 0.0]]  # 2 · first − second: 8, −1, −4, 0
    assert heat[2].tolist() == [[0.0, 0.0], [0.0, 0.0]]  # nothing speaks for the class


@pytest.mark.parametrize("name", FAMILIES)
def test_the_halves_of_a_network_make_the_whole(name, section_of):
    model = family(name, section_of).eval()
    features, head = split_after_last_conv(model)
    images = torch.rand(2, 1, 12, 12)
    assert features(images).dim() == 4
    assert torch.equal(head(features(images)), model(images))
    assert (
        gradcam(model, images, torch.tensor([0, 1])).shape
        == features(images).shape[:1] + features(images).shape[2:]
    )


def test_grad_cam_leaves_the_weights_without_gradients():
    model = doubling()
    gradcam(model, IMAGES, torch.zeros(5, dtype=torch.long))
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize(("right", "wrong"), [([0], [4]), ([0, 1], []), ([], [4])])
def test_grad_cam_is_drawn_with_right_or_wrong_images_alone(right, wrong):
    positions = [torch.tensor(part, dtype=torch.long) for part in (right, wrong)]
    figure = gradcam_figure("net", doubling(), IMAGES, PREDICTIONS, *positions)
    assert len(figure.axes) == 3 * len(right + wrong)
