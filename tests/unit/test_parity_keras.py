"""A small part of bench/fidelity/parity_keras.py, where Keras is installed."""

import os
import random
from importlib.util import find_spec

import pytest
from repository import ROOT

if not (find_spec("keras") and find_spec("tensorflow")):
    pytest.skip("Keras on TensorFlow: not installed", allow_module_level=True)
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

from bench.fidelity.keras_augment import affine_difference
from bench.fidelity.keras_steps import gradients, keras_schedule, our_schedule, steps
from bench.fidelity.keras_twins import Pair, floats, pixels_last, weights_of
from bench.fidelity.parity_keras import networks, statistics

SMALL = "mnist_2x2, k 5, s 3"


@pytest.fixture(autouse=True)
def _in_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def test_a_twin_computes_the_same_logits_from_copied_weights() -> None:
    [found] = networks([SMALL])
    assert found["holds"]
    assert found["largest"] > 0, "another program's sums, to the last bits"


def test_weights_that_are_not_copied_are_detected() -> None:
    pair = Pair(SMALL, carry=False)
    theirs = pair.theirs.get_weights()
    assert [array.shape for array in theirs] == [array.shape for array in weights_of(pair.ours)]
    images, _ = pair.batch(4)
    apart = pair.ours(images).detach().numpy() - pair.theirs(pixels_last(images)).numpy()
    assert abs(apart).max() > 1


def test_running_variances_differ_by_the_bias_alone() -> None:
    logits, means, variances, corrected = statistics(["cifar10_grey, k 5, s 2+2 1 1"])
    assert [row["holds"] for row in (logits, means, variances, corrected)] == [True, True, False, True]
    assert variances["largest"] < 1e-3
    assert "biased" in variances["reason"]


def test_a_step_differs_by_the_place_of_eps_alone() -> None:
    with floats("float64"):
        loss, gradient = gradients(SMALL)
        found = steps(SMALL, count=3)
    assert max(loss, gradient) < 1e-10
    assert found["ε as it is"][0] > 1e-3
    assert found["ε scaled"][0] < 1e-5
    assert max(found["ε scaled, β rounded"]) < 1e-10


def test_a_series_of_losses_leads_to_the_same_rates_and_the_same_epochs() -> None:
    chance = random.Random(3)
    losses = [1.0, 0.5, 0.49995, *(0.5 + chance.random() for _ in range(12))]
    rates, last, kept = our_schedule(losses)
    assert (rates, last, kept) == keras_schedule(losses)
    assert (len(set(rates)), last, kept) == (3, 10, 3)


def test_an_affine_image_is_keras_own() -> None:
    assert affine_difference({"rotation": 15, "shift": 0.1, "shear": 5, "zoom": 0.2}, count=8) < 0.01
