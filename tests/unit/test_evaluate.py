import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, classification_report, confusion_matrix, log_loss
from torch import Tensor
from training import run

from convlab import files
from convlab.data.dataset import Prepared, Split
from convlab.models.build import build_model, load_model
from convlab.pipeline.evaluate import confusion_rows, evaluate, evenly_spaced, per_class
from convlab.pipeline.run import train
from convlab.schema import SPLITS, Experiment
from convlab.train.inference import logits_of

CLASSES = ["cat", "dog", "T-shirt/top"]


@pytest.fixture
def guesses() -> tuple[Tensor, Tensor]:
    """Probabilities of 60 images in three classes, and their labels."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(60, 3, generator=generator).softmax(1), torch.randint(0, 3, (60,), generator=generator)


def test_scores_and_probabilities_are_what_scikit_learn_computes(
    recipe: Callable[..., Experiment], digits: Prepared, prepared: Path
) -> None:
    model = build_model(recipe(), [1, 8, 8], 10)
    done = evaluate(model, recipe(seed=1), prepared / recipe().data_key())
    assert done.seed == 1
    for name in SPLITS:
        split = getattr(digits, name)
        found = logits_of(model, split, digits.statistics.transform(), "fp32").double().softmax(1)
        assert done.scores[name]["loss"] == pytest.approx(
            log_loss(split.labels, found, labels=range(10)), rel=1e-5
        )
        assert done.scores[name]["accuracy"] == accuracy_score(split.labels, found.argmax(1))
        assert done.scores[name]["images"] == len(split.labels)
    assert torch.equal(done.labels, digits.test.labels)
    torch.testing.assert_close(done.probabilities.double(), found)
    torch.testing.assert_close(done.probabilities.sum(1), torch.ones(len(done.labels)))
    assert json.loads(json.dumps(done.scores, allow_nan=False)) == done.scores


@pytest.mark.parametrize(
    ("views", "precision"), [("none", "fp32"), ("flip", "fp32"), ("flip_shift", "fp32"), ("none", "bf16")]
)
def test_scores_are_known_as_the_trainings_with_any_views_and_in_any_precision(
    views: str,
    precision: str,
    recipe: Callable[..., Experiment],
    digits: Prepared,
    prepared: Path,
    tmp_path: Path,
) -> None:
    experiment = recipe(test_time_augmentation=views, precision=precision, keep="last")
    folder = prepared / experiment.data_key()
    trained = train("digits", experiment, folder)
    files.write_tensors(tmp_path / "model.safetensors", trained.model.state_dict())
    loaded = load_model(experiment, digits.statistics, tmp_path / "model.safetensors")
    scores = evaluate(loaded, experiment, folder).scores
    assert scores["weights"] == trained.results["weights"]
    earlier, _ = run(experiment.model_copy(update={"epochs": 1}), digits)
    assert evaluate(earlier, experiment, folder).scores["weights"] != trained.results["weights"]


def test_scores_are_those_of_float32_whatever_the_training_was_in(
    recipe: Callable[..., Experiment], prepared: Path
) -> None:
    model = build_model(recipe(), [1, 8, 8], 10)
    folder = prepared / recipe().data_key()
    scores = [evaluate(model, recipe(precision=bits), folder).scores for bits in ("fp32", "bf16")]
    assert scores[0] == scores[1]


def test_evaluating_twice_gives_the_same_bits(recipe: Callable[..., Experiment], prepared: Path) -> None:
    model = build_model(recipe(), [1, 8, 8], 10)
    folder = prepared / recipe().data_key()
    one, other = evaluate(model, recipe(), folder), evaluate(model, recipe(), folder)
    assert one.scores == other.scores
    assert torch.equal(one.probabilities, other.probabilities)


def test_a_sample_of_the_training_images_is_spread_over_the_split(
    recipe: Callable[..., Experiment], prepared: Path
) -> None:
    model = build_model(recipe(), [1, 8, 8], 10)
    folder = prepared / recipe().data_key()
    whole = evaluate(model, recipe(), folder).scores
    sampled = evaluate(model, recipe(train_images_scored=100), folder).scores
    assert sampled["train"]["images"] == 100
    assert sampled["train"]["loss"] == pytest.approx(whole["train"]["loss"], rel=0.2)
    assert (sampled["validation"], sampled["test"]) == (whole["validation"], whole["test"])
    assert evaluate(model, recipe(train_images_scored=10**6), folder).scores == whole
    numbered = Split(torch.arange(10).view(10, 1, 1, 1), torch.arange(10))
    assert evenly_spaced(numbered, 4).labels.tolist() == [0, 3, 6, 9]
    assert evenly_spaced(numbered, 1).labels.tolist() == [0]


def test_the_report_on_classes_is_scikit_learns(guesses: tuple[Tensor, Tensor]) -> None:
    probabilities, labels = guesses
    expected = classification_report(
        labels, probabilities.argmax(1), target_names=CLASSES, output_dict=True, zero_division=0.0
    )
    found = per_class(probabilities, labels, CLASSES)
    assert list(found) == CLASSES
    for name in CLASSES:
        assert found[name]["precision"] == pytest.approx(expected[name]["precision"])
        assert found[name]["recall"] == pytest.approx(expected[name]["recall"])
        assert found[name]["f1"] == pytest.approx(expected[name]["f1-score"])
        assert found[name]["images"] == expected[name]["support"]


def test_the_classes_add_up_to_the_whole(guesses: tuple[Tensor, Tensor]) -> None:
    probabilities, labels = guesses
    found = per_class(probabilities, labels, CLASSES).values()
    assert sum(entry["images"] for entry in found) == len(labels)
    right = sum(entry["recall"] * entry["images"] for entry in found)
    assert right / len(labels) == pytest.approx(accuracy_score(labels, probabilities.argmax(1)))


def test_a_class_that_is_never_predicted_and_one_without_images_score_0() -> None:
    probabilities = torch.eye(3)[[0, 0, 1, 1]]
    found = per_class(probabilities, torch.tensor([0, 0, 0, 1]), CLASSES)
    assert found["T-shirt/top"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "images": 0}
    assert found["dog"] == {"precision": 0.5, "recall": 1.0, "f1": pytest.approx(2 / 3), "images": 1}
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_the_confusion_rows_count_up_to_the_confusion_matrix(guesses: tuple[Tensor, Tensor]) -> None:
    probabilities, labels = guesses
    rows = confusion_rows(probabilities, labels, CLASSES)
    assert len(rows) == len(labels)
    assert rows[0] == {
        "actual": CLASSES[int(labels[0])],
        "predicted": CLASSES[int(probabilities[0].argmax())],
    }
    counts = np.zeros((3, 3), int)
    for row in rows:
        counts[CLASSES.index(row["actual"]), CLASSES.index(row["predicted"])] += 1
    assert np.array_equal(counts, confusion_matrix(labels, probabilities.argmax(1)))
