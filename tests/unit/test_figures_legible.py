"""What a reader sees: no text over another or beyond the edge, and every point and every model visible."""

from itertools import combinations, pairwise

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from torch import nn

from convlab.data.catalogue import DATASETS
from convlab.data.dataset import Split
from convlab.figures.augmentation import augmentation_grid
from convlab.figures.confused import confused
from convlab.figures.confusion import confusion
from convlab.figures.curves import iteration_curves, learning_curves
from convlab.figures.gradcam import gradcam_figure
from convlab.figures.histograms import parameter_histograms
from convlab.figures.samples import Predictions, sample_grid
from convlab.figures.style import count_of, styled
from convlab.figures.trial_curves import trial_curves
from convlab.figures.trials import trial_table

NAMES = {
    "CIFAR-10": list(DATASETS["cifar10"].classes),
    "Fashion-MNIST": list(DATASETS["fashion_mnist"].classes),
    "long": [f"a rather long name of class {number}" for number in range(9)]
    + ["Donaudampfschifffahrtskapitaen"],
}
COUNT = 100


@pytest.fixture(autouse=True)
def _close_figures():
    with styled():
        yield
    plt.close("all")


@pytest.fixture(params=NAMES)
def predictions(request):
    """Every class taken for every class."""
    predicted = torch.arange(COUNT) % 10
    probabilities = nn.functional.one_hot(predicted, 10) * 0.989 + 0.001
    return Predictions(probabilities, torch.arange(COUNT) // 10, NAMES[request.param])


def images():
    return torch.randint(0, 255, (COUNT, 3, 8, 8), dtype=torch.uint8)


def boxes(figure, texts):
    if figure.stale:
        figure.draw_without_rendering()  # the places of texts; nobody looks at pixels
    return [text.get_window_extent() for text in texts if text.get_text() and text.get_visible()]


def overlapping(figure, texts):
    """Return pairs of boxes of which one covers more than a pixel of the other."""
    found = boxes(figure, texts)
    return [pair for pair in combinations(found, 2) if pair[0].padded(-0.5).overlaps(pair[1].padded(-0.5))]


def beyond(figure, texts):
    edge = figure.bbox.padded(0.5)
    return [
        box
        for box in boxes(figure, texts)
        if box.x0 < edge.x0 or box.x1 > edge.x1 or box.y0 < edge.y0 or box.y1 > edge.y1
    ]


def headings(figure):
    return [figure._suptitle] + [axes.title for axes in figure.axes]


def assert_legible(figure, texts):
    assert not overlapping(figure, texts)
    assert not beyond(figure, texts)


def wrong_first(predictions):
    return predictions.wrong_by_confidence()[:30]


def test_titles_of_samples_are_apart_and_whole(predictions):
    figure = sample_grid("title", Split(images(), predictions.labels), predictions, wrong_first(predictions))
    assert_legible(figure, headings(figure))
    assert min(axes.title.get_fontsize() for axes in figure.axes) >= 6
    assert_legible(
        sample_grid("title", Split(images(), predictions.labels), predictions, predictions.correct()), []
    )


def test_a_heading_says_what_the_caption_says(predictions):
    for index in range(COUNT):
        words = predictions.heading(index).replace("\n", "").replace(" ", "").replace("\u00a0", "")
        assert words == predictions.caption(index).replace(" ", "")


def test_titles_of_heat_maps_are_apart_and_whole(predictions):
    model = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 10))
    inputs = images().float()
    figure = gradcam_figure(
        "net", model, inputs, predictions, predictions.correct()[:4], wrong_first(predictions)[:4]
    )
    assert_legible(figure, headings(figure))


def test_names_of_confused_classes_are_apart_and_whole(predictions):
    figure = confused("net", Split(images(), predictions.labels), predictions)
    figure.draw_without_rendering()
    names = [label for axes in figure.axes for label in axes.get_yticklabels() if "→" in label.get_text()]
    assert len(names) == 8
    assert_legible(figure, names)


def test_the_confusion_matrix_has_the_true_class_across_as_on_the_page_of_dvc():
    predicted = torch.tensor([1, 1, 1, 0])
    predictions = Predictions(
        nn.functional.one_hot(predicted, 2).float(), torch.tensor([0, 0, 0, 1]), ["cat", "dog"]
    )
    axes = confusion("pets", predictions).axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("true class", "predicted class")
    placed = {text.get_position(): text.get_text() for text in axes.texts}
    assert placed == {(0, 1): "3", (1, 0): "1"}, "x: true, y: predicted"
    assert axes.images[0].get_array()[1, 0] == 3
    assert axes.get_ylim()[0] > axes.get_ylim()[1], "the first class is at the top"


def test_the_classes_of_a_confusion_matrix_are_whole(predictions):
    figure = confusion("net", predictions)
    axes = figure.axes[0]
    figure.draw_without_rendering()
    assert not beyond(figure, [axes.title, *axes.get_xticklabels(), *axes.get_yticklabels()])
    assert not overlapping(figure, axes.get_yticklabels())
    assert axes.get_window_extent().width > 300, "the names leave the matrix its room"


@pytest.mark.parametrize("count", [26, 47])
def test_the_numbers_of_many_classes_do_not_overlap(count):
    labels = torch.arange(count).repeat_interleave(2)
    predicted = (labels + torch.arange(len(labels)) % 2) % count
    logits = nn.functional.one_hot(predicted, count).float()
    figure = confusion("many", Predictions(logits, labels, [f"class {number}" for number in range(count)]))
    axes = figure.axes[0]
    figure.draw_without_rendering()
    cell = axes.get_window_extent().width / count
    assert cell > 1.5 * axes.texts[0].get_fontsize() / 72 * figure.dpi
    assert not overlapping(figure, axes.get_yticklabels())


def epoch_rows(epochs, **more):
    losses = dict.fromkeys(("train_loss", "validation_loss"), 0.5)
    accuracies = dict.fromkeys(("train_accuracy", "validation_accuracy"), 0.9)
    return [
        {"epoch": epoch, "lr": 0.1, "seed": 1, **losses, **accuracies, **more}
        for epoch in range(1, epochs + 1)
    ]


def iteration_rows(count):
    return [
        {"iteration": n, "epoch": 1, "lr": 0.1, "loss": 0.5, "accuracy": 0.5} for n in range(1, count + 1)
    ]


@pytest.mark.parametrize(
    "draw",
    [
        lambda: learning_curves("title", epoch_rows(1), "last", "cross_entropy"),
        lambda: iteration_curves("title", iteration_rows(1)),
        lambda: trial_curves("title", epoch_rows(1, trial="a")),
        lambda: trial_curves("title", epoch_rows(1, trial="a") + epoch_rows(1, trial="b", seed=2)),
    ],
    ids=["epochs", "iterations", "trials", "two trials"],
)
def test_one_point_is_visible_and_stands_at_a_whole_number(draw):
    figure = draw()
    figure.draw_without_rendering()
    for axes in figure.axes:
        points = [line for line in axes.get_lines() if len(line.get_xdata()) == 1]
        assert points
        assert all(line.get_marker() == "o" and line.get_markersize() > 0 for line in points)
        low, high = axes.get_xlim()
        assert [tick for tick in axes.get_xticks() if low <= tick <= high] == [1]


def test_many_epochs_are_a_line_without_markers():
    figure = learning_curves("title", epoch_rows(30), "last", "cross_entropy")
    assert {line.get_marker() for line in figure.axes[0].get_lines()} == {"None"}


def test_one_is_singular():
    assert [count_of(number, "epoch", "epochs") for number in (1, 2, 2000)] == [
        "1 epoch",
        "2 epochs",
        "2,000 epochs",
    ]
    assert "(1 iteration is an epoch)" in iteration_curves("title", iteration_rows(1)).get_suptitle()
    row = {"name": "x", "overrides": {}, "seed": 1, "status": "finished", "epochs": 1}
    row |= {"test": {"accuracy": 0.9, "loss": 0.1}, "kernel_norm": 3.0}
    assert trial_table("title", [row]).get_suptitle() == "title · one seed, 1 epoch"


def test_each_of_five_models_has_a_strip_for_its_biases_with_its_name():
    models = {
        f"λ = {number}": {"a.weight": torch.randn(40, 30), "a.bias": torch.randn(40)} for number in range(5)
    }
    figure = parameter_histograms("title", ["a"], models)
    weights, biases = figure.axes
    assert weights.get_yscale() == "symlog"
    assert [label.get_text() for label in biases.get_yticklabels()] == list(models)
    assert_legible(figure, [*biases.get_yticklabels(), *headings(figure), *figure.legends[0].get_texts()])
    spans = sorted((patch.get_data().baseline, np.max(patch.get_data().values)) for patch in biases.patches)
    assert all(top < base for (_, top), (base, _) in pairwise(spans)), "no strip over another"
    assert len({to_hex(patch.get_facecolor()) for patch in biases.patches}) == 5


@pytest.mark.parametrize(("trials", "seeds"), [(5, 3), (7, 2), (26, 1), (1, 3)])
def test_the_trials_of_a_sweep_are_distinguishable(trials, seeds):
    names = [f"strides-1-1-1_kernels-5-5-3_with_l2-{number}" for number in range(trials)]
    rows = [
        row for name in names for seed in range(1, seeds + 1) for row in epoch_rows(4, trial=name, seed=seed)
    ]
    figure = trial_curves("title", rows)
    legend = figure.legends[0].get_texts() if figure.legends else []
    assert_legible(figure, [*headings(figure), *legend])
    shown = [text.get_text().replace("\n", "") for text in legend or [axes.title for axes in figure.axes]]
    assert [name for name in shown if name] == names
    assert all(axes.get_window_extent().height > 100 for axes in figure.axes if axes.axison)


def test_a_seed_band_is_the_trial_s_own_alone():
    rows = [row for name in "abc" for seed in (1, 2) for row in epoch_rows(4, trial=name, seed=seed)]
    figure = trial_curves("title", rows)
    assert [len(axes.collections) for axes in figure.axes] == [1] * 6


@pytest.mark.parametrize(
    "values", [[0.0, 1e-05, 1e-4], [1e-05 * 1.2345 * n for n in range(1, 8)], list(range(12))]
)
def test_the_labels_of_points_are_apart(values):
    rows = [
        {"name": str(value), "overrides": {"l2": value}, "seed": 1, "status": "finished", "epochs": 2}
        | {"test": {"accuracy": 0.9900 + number / 10_000, "loss": 0.1}, "kernel_norm": 3.0}
        for number, value in enumerate(values)
    ]
    figure = trial_table("title", rows)
    figure.draw_without_rendering()
    axes = figure.axes[0]
    labels = axes.get_xticklabels()
    if labels[0].get_rotation() == 45:  # the boxes of slanted texts meet though the texts do not
        assert not beyond(figure, labels)
    else:
        assert_legible(figure, labels)
    shown = [label.get_text() for label in axes.get_yticklabels()]
    assert len(set(shown)) == len(shown), "no two ticks of the accuracy are called the same"


def test_labels_of_mixed_images_are_apart_and_whole(predictions):
    originals, targets = images()[:3], torch.eye(10)[:3]
    version = originals.float(), 0.6 * targets + 0.4 * targets.roll(1, 1)
    figure = augmentation_grid("title", originals, targets, [version] * 7, predictions.classes, 255)
    assert_legible(figure, [axes.title for axes in figure.axes])
