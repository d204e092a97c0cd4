"""Techniques of fast recipes together: test-time augmentation, and a training with all of them."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from training import CPU, Recipe, first, run, same

from convlab.data.dataset import Prepared
from convlab.data.transform import Transform
from convlab.models.build import build_model
from convlab.pipeline.evaluate import evaluate
from convlab.pipeline.run import train
from convlab.schema import SPLITS
from convlab.train.fit import fit
from convlab.train.inference import logits_of, score, views

RESNET = {"name": "resnet", "widths": [16, 32], "blocks": [1, 1], "activation": "gelu"}
ALL: dict[str, Any] = {
    "model": {**RESNET, "whitening": {"kernel": 3, "eps": 1.0e-3}},
    "augment": [{"name": "crop", "padding": 1, "border": "reflect"}, {"name": "alternating_flip"}],
    "resize": [{"until": 0.5, "size": 7}],
    "optimizer": {
        "name": "muon",
        "momentum": 0.9,
        "nesterov": True,
        "adamw": {"lr": 0.02, "betas": [0.9, 0.95], "eps": 1e-8},
    },
    "lr": 0.05,
    "weight_decay": 0.01,
    "label_smoothing": 0.1,
    "schedule": {"name": "one_cycle", "warmup": 0.2},
    "keep": "last",
    "iterations": True,
    "test_time_augmentation": "flip_shift",
}


def moved(images: Tensor, by: int) -> Tensor:
    """Return images shifted by some pixels to the right and down, the border repeated."""
    rows = [min(max(row - by, 0), images.shape[2] - 1) for row in range(images.shape[2])]
    columns = [min(max(column - by, 0), images.shape[3] - 1) for column in range(images.shape[3])]
    return images[:, :, rows][:, :, :, columns]


def test_the_views_are_the_image_its_shifts_along_a_diagonal_and_their_mirror_images() -> None:
    images = torch.randn(2, 3, 5, 6)
    shifted = [images, moved(images, 1), moved(images, -1)]
    expected = {
        "none": [images],
        "flip": [images, images.flip(3)],
        "flip_shift": [*shifted, *(view.flip(3) for view in shifted)],
    }
    for name, parts in expected.items():
        found = views(images, name)
        assert len(found) == len(parts)
        assert all(torch.equal(one, other) for one, other in zip(found, parts, strict=True)), name


@pytest.mark.parametrize("name", ["none", "flip", "flip_shift"])
def test_logits_are_the_mean_of_those_of_each_view(recipe: Recipe, digits: Prepared, name: str) -> None:
    model = build_model(recipe(), [1, 8, 8], 10).eval()
    transform = digits.statistics.transform()
    found = logits_of(model, digits.test, transform, "fp32", name)
    with torch.no_grad():
        each = [model(view) for view in views(transform(digits.test.images), name)]
    torch.testing.assert_close(found, torch.stack(each).mean(0))
    if name == "none":
        assert torch.equal(found, logits_of(model, digits.test, transform, "fp32"))


def test_evaluation_scores_all_splits_with_it(recipe: Recipe, digits: Prepared, prepared: Path) -> None:
    flips = recipe(test_time_augmentation="flip")
    model = build_model(flips, [1, 8, 8], 10)
    done = evaluate(model, flips, prepared / flips.data_key())
    for name in SPLITS:
        split = getattr(digits, name)
        logits = logits_of(model, split, digits.statistics.transform(), "fp32", "flip")
        assert (done.scores[name]["loss"], done.scores[name]["accuracy"]) == score(logits, split.labels)
    torch.testing.assert_close(done.probabilities, logits.softmax(1))


class Sizes(nn.Module):
    """A network that takes images of any size, and notes which it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.output = nn.Linear(3, 10)
        self.seen: list[tuple[bool, int, int]] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append((self.training, images.shape[2], images.shape[3]))
        return self.output(images.mean((2, 3)))


def test_training_images_grow_and_validation_images_are_as_they_are(recipe: Recipe, digits: Prepared) -> None:
    growing = recipe(
        dataset="cifar10",
        model=RESNET,
        resize=[{"until": 0.25, "size": 8}, {"until": 0.5, "size": 16}],
        epochs=4,
    )
    training = first(digits.train, 10)._replace(images=torch.zeros(10, 3, 32, 32, dtype=torch.uint8))
    model = Sizes()
    fit(model, training, training, Transform(1 / 255, [0.0], [1.0], False, False), growing, CPU)
    assert [height for in_training, height, _ in model.seen if in_training] == [8, 16, 32, 32]
    assert {(height, width) for in_training, height, width in model.seen if not in_training} == {(32, 32)}
    assert all(height == width for _, height, width in model.seen)


class Watcher(Sizes):
    """The same, but it notes the images that it is trained on."""

    def __init__(self) -> None:
        super().__init__()
        self.images: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        if self.training:
            self.images.append(images.clone())
        return super().forward(images.expand(-1, 3, -1, -1))


def test_training_alternates_the_flip_of_each_image(recipe: Recipe, digits: Prepared) -> None:
    alternating = recipe(augment=[{"name": "alternating_flip"}], epochs=2, batch_size=30)
    training = first(digits.train, 100)
    model = Watcher()
    fit(model, training, training, Transform(1.0, [0.0], [1.0], False, False), alternating, CPU)
    seen = torch.cat(model.images)
    # What a mirror image has in common with its image: the sums of its rows
    rows = seen.sum((1, 3)) @ (17.0 ** torch.arange(8)).double().float()
    epochs = [
        part[order] for part, order in zip(seen.split(100), map(torch.argsort, rows.split(100)), strict=True)
    ]
    assert torch.equal(epochs[0], epochs[1].flip(3))
    assert not torch.equal(epochs[0], epochs[1])


@pytest.mark.parametrize(
    "average", [{"name": "ema", "decay": 0.9}, {"name": "lookahead", "every": 3, "alpha": 0.5}]
)
def test_everything_at_once_trains_and_to_the_same_bits_twice(
    recipe: Recipe, prepared: Path, average: dict[str, Any]
) -> None:
    everything = recipe(**ALL, average=average, epochs=2)
    folder = prepared / everything.data_key()
    done = train("everything", everything, folder)
    again = train("everything", everything, folder)
    assert same(done.model, again.model)
    assert done.curves == again.curves
    assert done.iterations == again.iterations
    assert done.curves[-1]["train_loss"] < done.curves[0]["train_loss"]
    assert evaluate(done.model, everything, folder).scores["test"]["accuracy"] > 0.5


def test_decoupled_decay_trains_in_place_of_muon(recipe: Recipe, digits: Prepared) -> None:
    descent = {"name": "sgd", "momentum": 0.9, "nesterov": True, "decoupled": True}
    _, history = run(recipe(optimizer=descent, lr=0.05, weight_decay=0.01, epochs=3), digits)
    assert history.records[-1]["validation_accuracy"] > 0.8
