import pytest
import torch
from torch import nn

from convlab.data.preprocess import Split
from convlab.figures.confusion import confusion
from convlab.figures.curves import learning_curves, trial_curves
from convlab.figures.features import activations, feature_maps
from convlab.figures.histograms import parameter_histograms
from convlab.figures.samples import Guesses, sample_grid
from convlab.figures.style import save
from convlab.figures.trials import trial_table

GUESSES = Guesses(
    probabilities=torch.tensor([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.7, 0.3]]),
    labels=torch.tensor([0, 0, 0, 1]),
    classes=["cat", "dog"],
)
MODEL = nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(3, 5, 3), nn.Flatten())


def row(epoch, **more):
    losses = {"train_loss": 1 / epoch, "validation_loss": 2 / epoch}
    return {"epoch": epoch, "lr": 0.1, **losses, "train_accuracy": 0.9, "validation_accuracy": 0.8, **more}


def trial(name, overrides, status="finished"):
    done = {"test": {"accuracy": 0.9, "loss": 0.1}, "weight_norm": 3.0, "epochs": 2}
    return {"name": name, "overrides": overrides, "status": status} | (done if status == "finished" else {})


def titles(figure):
    return [axes.get_title(loc) for axes in figure.axes for loc in ("left", "center") if axes.get_title(loc)]


def test_wrong_samples_come_with_the_most_confident_first():
    assert GUESSES.correct().tolist() == [0]
    assert GUESSES.wrong_by_confidence().tolist() == [2, 3, 1]
    assert GUESSES.caption(0) == "cat (90%)"
    assert GUESSES.caption(2) == "cat → dog (80%)"


def test_a_saved_figure_has_the_same_bytes_each_time(tmp_path):
    images = torch.randint(0, 255, (4, 1, 8, 8), dtype=torch.uint8)
    split = Split(images, GUESSES.labels)
    paths = [
        save(sample_grid("title", split, GUESSES, torch.arange(4)), tmp_path / f"{number}.png")
        for number in range(2)
    ]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert paths[0].read_bytes().startswith(b"\x89PNG")


def test_confusion_counts_the_errors():
    assert "3 errors on 4 test images (25.00%)" in confusion("pets", GUESSES).axes[0].get_title()


def test_activations_are_those_of_the_convolutions_themselves():
    image = torch.randn(1, 1, 8, 8)
    found = activations(MODEL, image)
    assert [tuple(maps.shape) for maps in found.values()] == [(3, 8, 8), (5, 6, 6)]
    assert torch.equal(found["0"], MODEL[0](image)[0]), "the ReLU in place must not reach what was kept"
    assert titles(feature_maps("title", MODEL, image))[:2] == ["input", "0: 3 maps of 8×8"]


def test_histograms_have_a_row_a_layer_and_do_without_a_bias():
    state = {"a.weight": torch.randn(4, 3), "a.bias": torch.randn(4), "b.weight": torch.randn(2, 4)}
    figure = parameter_histograms("title", ["a", "b"], {"one": state, "two": state})
    assert titles(figure) == ["a: 12 weights", "a: 4 biases", "b: 8 weights"]


def test_curves_mark_the_epoch_that_was_kept():
    figure = learning_curves("title", [row(1), row(2, validation_loss=0.1), row(3)])
    labels = [line.get_label() for line in figure.axes[0].get_lines()]
    assert labels == ["training", "validation", "kept: epoch 2"]


def test_trial_curves_have_a_line_a_trial():
    figure = trial_curves("title", [row(epoch, trial=name) for name in ("a", "b") for epoch in (1, 2)])
    assert len(figure.axes[0].get_lines()) == 2


def test_a_grid_shows_an_infeasible_trial_as_such():
    grid = [trial("x", {"k": 1, "s": [1, 1]}), trial("y", {"k": 1, "s": [9, 9]}, status="infeasible")]
    figure = trial_table("title", grid)
    assert "infeasible" in [text.get_text() for text in figure.axes[0].texts]


def test_a_study_of_one_key_shows_its_weight_norms():
    figure = trial_table("title", [trial("x", {"l2": 0.0}), trial("y", {"l2": 0.1})])
    assert "weight norm √Σw²" in titles(figure)


@pytest.mark.parametrize(
    "overrides",
    [
        [{"lr": 0.1}, {"l2": 0.1}],
        [{}, {"l2": 0.1}],
        [{"lr": 0.1, "l2": 0.1}, {"lr": 0.2}],
    ],
    ids=["other keys", "the base itself", "more keys"],
)
def test_variants_are_called_by_their_names(overrides):
    figure = trial_table("title", [trial(name, own) for name, own in zip("xy", overrides, strict=True)])
    figure.canvas.draw()
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["x", "y"]


def test_a_sweep_of_which_nothing_finished_has_a_figure_all_the_same():
    assert trial_table("title", [trial("x", {"lr": 0.1}, status="diverged")])
