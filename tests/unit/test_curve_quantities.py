"""Quantities of learning curves: compared with hand calculations, and None for too few epochs."""

import pytest

from convlab.schema.curve_quantities import OF_CURVES, of_curve, oscillation


def rows(losses, accuracies=None):
    accuracies = accuracies or [0.5] * len(losses)
    return [
        {
            "epoch": n,
            "lr": 0.1 / n,
            "train_loss": loss / 2,
            "validation_loss": loss,
            "validation_accuracy": accuracy,
        }
        for n, (loss, accuracy) in enumerate(zip(losses, accuracies, strict=True), start=1)
    ]


def test_a_straight_line_does_not_oscillate_and_ups_and_downs_do():
    assert oscillation([5.0, 4.0, 3.0, 2.0]) == 0.0
    assert oscillation([0.0, 1.0, 0.0, 1.0]) == 2.0
    assert oscillation([0.0, 1.0, 1.0]) == 1.0
    assert oscillation([1.0, 2.0]) is None


def test_the_first_epochs_are_the_start_and_no_oscillation():
    found = of_curve(rows([9.0, 1.0, 9.0, 4.0, 3.0, 2.0], [0.1, 0.2, 0.6, 0.9, 0.7, 0.9]))
    assert found["early_accuracy"] == pytest.approx(0.3)
    assert found["last_lr"] == 0.1 / 6
    assert found["oscillation_train_loss"] == found["oscillation_validation_loss"] == 0.0
    assert found["oscillation_validation_accuracy"] == pytest.approx(0.4)


def test_a_late_rise_is_one_of_three_epochs_and_one_bad_epoch_is_smoothed():
    assert of_curve(rows([4.0, 3.0, 2.0, 1.0]))["rise_validation_loss"] == 0.0
    # the means of three in a row: 2, 1, 2, 3
    assert of_curve(rows([3.0, 2.0, 1.0, 0.0, 5.0, 4.0]))["rise_validation_loss"] == pytest.approx(2.0)


@pytest.mark.parametrize("epochs", [0, 1, 2])
def test_too_few_epochs_say_nothing(epochs):
    found = of_curve(rows([1.0] * epochs))
    assert list(found) == list(OF_CURVES)
    assert {key for key, number in found.items() if number is not None} <= {"last_lr"}


def test_five_epochs_have_a_start_and_no_oscillation():
    found = of_curve(rows([1.0] * 5))
    assert found["early_accuracy"] == 0.5
    assert found["oscillation_validation_loss"] is None
