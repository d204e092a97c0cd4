import math

import matplotlib.pyplot as plt
import pytest
import torch
from torch import nn

from convlab.data.dataset import Split
from convlab.figures.activation import activation_curve
from convlab.figures.augmentation import augmentation_grid, label_of
from convlab.figures.confused import confused
from convlab.figures.confusion import confusion
from convlab.figures.curves import iteration_curves, learning_curves
from convlab.figures.features import activations, feature_maps
from convlab.figures.histograms import parameter_histograms
from convlab.figures.samples import Predictions, sample_grid
from convlab.figures.style import save, styled
from convlab.figures.trial_curves import trial_curves
from convlab.figures.trial_iterations import trial_iterations
from convlab.figures.trials import trial_table

PREDICTIONS = Predictions(
    probabilities=torch.tensor([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.7, 0.3]]),
    labels=torch.tensor([0, 0, 0, 1]),
    classes=["cat", "dog"],
)
MODEL = nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(3, 5, 3), nn.Flatten())


@pytest.fixture(autouse=True)
def _close_figures():
    with styled():
        yield
    plt.close("all")


def row(epoch, **more):
    losses = {"train_loss": 1 / epoch, "validation_loss": 2 / epoch}
    accuracies = {"train_accuracy": 0.9, "validation_accuracy": 0.8}
    return {"epoch": epoch, "lr": 0.1, **losses, **accuracies, "seed": 1, **more}


def trial(name, overrides, status="finished", seed=1, accuracy=0.9):
    told = {"name": name, "overrides": overrides, "seed": seed, "status": status}
    done = {"test": {"accuracy": accuracy, "loss": 0.1}, "kernel_norm": 3.0, "epochs": 2}
    return told | (done if status == "finished" else {})


def titles(figure):
    return [axes.get_title(loc) for axes in figure.axes for loc in ("left", "center") if axes.get_title(loc)]


def test_wrong_samples_come_with_the_most_confident_first():
    assert PREDICTIONS.correct().tolist() == [0]
    assert PREDICTIONS.wrong_by_confidence().tolist() == [2, 3, 1]
    assert PREDICTIONS.caption(0) == "cat (90%)"
    assert PREDICTIONS.caption(2) == "cat → dog (80%)"


def test_a_saved_figure_has_the_same_bytes_each_time(tmp_path):
    images = torch.randint(0, 255, (4, 1, 8, 8), dtype=torch.uint8)
    split = Split(images, PREDICTIONS.labels)
    paths = [
        save(sample_grid("title", split, PREDICTIONS, torch.arange(4)), tmp_path / f"{number}.png")
        for number in range(2)
    ]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert paths[0].read_bytes().startswith(b"\x89PNG")


def test_confusion_counts_the_errors():
    assert "3 errors on 4 test images (25.00%)" in confusion("pets", PREDICTIONS).axes[0].get_title()


def test_the_most_confused_classes_come_first_with_their_images():
    split = Split(torch.randint(0, 255, (4, 3, 8, 8), dtype=torch.uint8), PREDICTIONS.labels)
    figure = confused("pets", split, PREDICTIONS)
    figure.canvas.draw()
    names = [
        text.get_text() for axes in figure.axes for text in axes.get_yticklabels() if "→" in text.get_text()
    ]
    assert names == ["cat → dog", "dog → cat"]
    assert [text.get_text() for axes in figure.axes for text in axes.texts] == ["2", "1"]
    assert titles(figure) == ["80%", "60%", "70%"]


def test_a_mixed_label_is_worded_by_its_shares():
    assert label_of(torch.tensor([0.3, 0.7, 0.0]), ["dog", "cat", "cow"]) == "0.7 cat + 0.3 dog"
    assert label_of(torch.tensor([0.0, 1.0, 0.0]), ["dog", "cat", "cow"]) == "cat"


def test_augmented_images_stand_beside_their_originals_with_their_labels_if_these_changed():
    images, targets = torch.full((2, 1, 4, 4), 8, dtype=torch.uint8), torch.eye(2)
    plain, mixed = (images.float(), targets), (images / 2, torch.full((2, 2), 0.5))
    grid = [
        augmentation_grid("t", images, targets, [version] * 2, ["cat", "dog"], 16)
        for version in (plain, mixed)
    ]
    assert titles(grid[0]) == ["cat", "dog"]
    assert titles(grid[1]) == ["cat"] + ["0.5 cat\n+ 0.5 dog"] * 2 + ["dog"] + ["0.5 cat\n+ 0.5 dog"] * 2
    assert [axes.images[0].get_array().mean() for axes in grid[1].axes[:2]] == [0.5, 0.25]


def test_activations_are_those_of_the_convolutions_themselves():
    image = torch.randn(1, 1, 8, 8)
    found = activations(MODEL, image)
    assert [tuple(maps.shape) for maps in found.values()] == [(1, 3, 8, 8), (1, 5, 6, 6)]
    assert torch.equal(found["0"], MODEL[0](image)), "the ReLU in place must not reach what was kept"
    assert titles(feature_maps("title", MODEL, image))[:3] == ["input", "0", "3 maps of 8×8"]


def test_histograms_have_a_row_a_layer_and_do_without_a_bias():
    state = {"a.weight": torch.randn(4, 3), "a.bias": torch.randn(4), "b.weight": torch.randn(2, 4)}
    figure = parameter_histograms("title", ["a", "b"], {"one": state, "two": state})
    scaled = ", each strip in its own scale"
    assert titles(figure) == [f"a: 12 weights{scaled}", f"a: 4 biases{scaled}", f"b: 8 weights{scaled}"]
    assert titles(parameter_histograms("title", ["b"], {"one": state})) == ["b: 8 weights"]


@pytest.mark.parametrize(
    ("keep", "monitor", "epoch"),
    [
        ("lowest_loss", "cross_entropy", 2),
        ("lowest_loss", "penalised_loss", 3),
        ("highest_accuracy", "penalised_loss", 1),
        ("last", "cross_entropy", 3),
    ],
    ids=lambda value: str(value),
)
def test_curves_mark_the_epoch_that_was_kept(keep, monitor, epoch):
    rows = [
        row(1, validation_accuracy=0.95, penalty=9.0),
        row(2, validation_loss=0.1, penalty=5.0),
        row(3, penalty=1.0),
    ]
    figure = learning_curves("title", rows, keep, monitor)
    labels = [line.get_label() for line in figure.axes[0].get_lines()]
    assert labels == ["training", "validation", f"kept: epoch {epoch}"]


def test_curves_of_more_seeds_are_drawn_behind_those_of_the_first():
    rows = [row(epoch, seed=seed) for seed in (1, 2) for epoch in (1, 2)]
    figure = learning_curves("title", rows, "last", "cross_entropy")
    assert len(figure.axes[0].get_lines()) == 2 * 2 + 1
    assert figure.get_suptitle() == "title · seed 1; faint: 1 more"


def test_iteration_curves_smooth_what_single_batches_scatter():
    steps = range(1, 1001)
    rows = [{"iteration": n, "epoch": 1, "lr": 0.1, "loss": 1 + n % 2, "accuracy": n % 2} for n in steps]
    loss, accuracy, _ = iteration_curves("title", rows).axes
    single, means = (line.get_ydata() for line in accuracy.get_lines())
    assert single.tolist() == [n % 2 for n in steps]
    assert means == pytest.approx(0.5)
    assert [line.get_label() for line in loss.get_lines()] == ["one batch", "mean of 100 batches"]


@pytest.mark.parametrize("count", [1, 2, 7])
def test_iteration_curves_of_a_short_training(count):
    rows = [
        {"iteration": n, "epoch": 1, "lr": 0.1, "loss": 1.0, "accuracy": 0.5} for n in range(1, count + 1)
    ]
    iteration_curves("title", rows).canvas.draw()


def test_an_activation_is_drawn_with_its_derivative_beside_relu():
    value, derivative = activation_curve("net", "silu", torch.nn.SiLU()).axes
    own, relu = derivative.get_lines()[:2]
    assert (own.get_label(), relu.get_label()) == ("silu", "relu")
    x, slope = own.get_xydata()[len(own.get_xdata()) // 2]
    assert (x, slope) == pytest.approx((0, 0.5), abs=1e-6), "σ(0)"
    assert value.get_lines()[0].get_ydata()[-1] == pytest.approx(6 / (1 + math.exp(-6)))


def test_trial_curves_have_a_line_a_trial():
    figure = trial_curves("title", [row(epoch, trial=name) for name in ("a", "b") for epoch in (1, 2)])
    assert len(figure.axes[0].get_lines()) == 2
    assert figure.get_suptitle() == "title"


def test_trial_curves_of_the_training_images_show_those():
    rows = [row(epoch, trial="a", train_loss=2.0, validation_loss=1.0) for epoch in (1, 2)]
    loss = trial_curves("title", rows, "train").axes[0]
    assert loss.get_lines()[0].get_ydata().tolist() == [2.0, 2.0]
    assert loss.get_title() == "training loss (cross-entropy)"


def test_the_steps_of_trials_are_running_means_over_as_many_of_each():
    steps = [
        {"trial": name, "iteration": n, "epoch": 1, "loss": height + n, "accuracy": 0.5}
        for name, height in (("a", 0.0), ("b", 10.0))
        for n in range(1, 51)
    ]
    figure = trial_iterations("title", steps)
    a, b = figure.axes[0].get_lines()
    assert (a.get_label(), b.get_label()) == ("a", "b")
    # a window of a fifth of the 50 steps: the first mean is of the steps 1 to 10, drawn at the sixth
    assert a.get_xydata()[0].tolist() == pytest.approx([6, 5.5])
    assert b.get_xydata()[-1].tolist() == pytest.approx([46, 55.5])
    assert "(50 iterations are an epoch)" in figure.get_suptitle()
    assert "(30 to 50 iterations are an epoch)" in trial_iterations("title", steps[:80]).get_suptitle()


def test_trial_curves_of_several_seeds_show_their_mean_and_range_while_all_of_them_train():
    rows = [row(epoch, trial="a", seed=1, validation_loss=1.0) for epoch in (1, 2)]
    rows += [row(epoch, trial="a", seed=2, validation_loss=3.0) for epoch in (1, 2, 3)]
    figure = trial_curves("title", rows)
    (line,) = figure.axes[0].get_lines()
    assert line.get_xydata().tolist() == [[1, 2.0], [2, 2.0]]
    (band,) = figure.axes[0].collections
    assert {tuple(point) for point in band.get_paths()[0].vertices[:, 1:]} == {(1.0,), (3.0,)}
    assert "2 seeds" in figure.get_suptitle()


def test_a_grid_shows_an_infeasible_trial_as_such():
    grid = [trial("x", {"k": 1, "s": [1, 1]}), trial("y", {"k": 1, "s": [9, 9]}, status="infeasible")]
    figure = trial_table("title", grid)
    assert "infeasible" in [text.get_text() for text in figure.axes[0].texts]


def test_a_grid_of_several_seeds_shows_mean_and_deviation():
    point = {"k": 1, "s": 1}
    rows = [trial("x", point, seed=seed, accuracy=score) for seed, score in ((1, 0.90), (2, 0.92))]
    figure = trial_table("title", [*rows, trial("x", point, "diverged", seed=3)])
    (text,) = figure.axes[0].texts
    assert text.get_text() == "91.00% ± 1.41\nloss 0.1000 ± 0.0000\n1 of 3 diverged"
    assert "3 seeds" in figure.get_suptitle()


@pytest.mark.parametrize("overrides", [{"l2": 0.0}, {}], ids=["a key", "a variant"])
def test_points_of_several_seeds_have_error_bars(overrides):
    rows = [trial("x", overrides, seed=seed, accuracy=score) for seed, score in ((1, 0.90), (2, 0.92))]
    axes = trial_table("title", rows).axes[0]
    (bar,) = axes.collections[0].get_segments()
    across = bar[:, 1] if overrides else bar[:, 0]
    assert across.tolist() == pytest.approx([0.91 - 0.02 / 2**0.5, 0.91 + 0.02 / 2**0.5])


def test_what_did_not_finish_is_named_beside_what_did():
    figure = trial_table("title", [trial("x", {"l2": 0.0}), trial("y", {"l2": 0.1}, "diverged")])
    figure.canvas.draw()
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == ["0", "0.1\n(diverged)"]


def test_a_study_of_one_key_shows_its_kernel_norms():
    rows = [trial("x", {"l2": 0.0}), trial("y", {"l2": 0.1})]
    figure = trial_table("title", rows)
    (axes,) = (axes for axes in figure.axes if axes.get_title() == "kernel norm √Σw²")
    assert list(axes.get_lines()[0].get_ydata()) == [3.0, 3.0]


@pytest.mark.parametrize(
    "overrides",
    [
        [{"lr": 0.1}, {"l2": 0.1}],
        [{}, {"l2": 0.1}],
        [{"lr": 0.1, "l2": 0.1}, {"lr": 0.2}],
        [{"augment": []}, {"augment": [{"name": "crop", "padding": 4}]}],
    ],
    ids=["other keys", "the base itself", "more keys", "whole sections"],
)
def test_variants_are_called_by_their_names(overrides):
    figure = trial_table("title", [trial(name, own) for name, own in zip("xy", overrides, strict=True)])
    figure.canvas.draw()
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["x", "y"]


def test_a_sweep_of_which_nothing_finished_has_a_figure_all_the_same():
    assert trial_table("title", [trial("x", {"lr": 0.1}, status="diverged")])


def test_a_figure_that_is_not_in_our_look_is_not_saved(tmp_path):
    figure = plt.figure()
    with plt.rc_context({"svg.hashsalt": None}), pytest.raises(AssertionError, match="outside of styled"):
        save(figure, tmp_path / "figure.png")
    assert not list(tmp_path.iterdir())
    plt.close(figure)
