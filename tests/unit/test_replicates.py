"""The noise of a report from its own replicates: compared with hand calculations; none from a single row."""

import pytest

from convlab.results.replicates import Noise, noise_by_dataset


def test_noise_is_a_t_interval_of_one_number_and_n_trainings():
    noise = Noise("kernel 3", (0.9962, 0.9952, 0.9960))
    # the sample's deviation 5.2915e-4, t(0.975; 2) = 4.30265
    assert noise.margin(1) == pytest.approx(4.30265 * 5.2915e-4 * 2**0.5, rel=1e-4)
    assert noise.margin(3) == pytest.approx(4.30265 * 5.2915e-4 * (4 / 3) ** 0.5, rel=1e-4)
    assert "kernel 3, 3 times in the report: 99.62, 99.52, 99.60 % (99.58 ± 0.05)" in noise.note()


def test_two_replicates_have_no_margin():
    noise = Noise("kernel 5", (0.9858, 0.9842))
    assert noise.margin(1) is None
    assert noise.note().endswith(
        "98.58, 98.42 % (98.50 ± 0.11); with fewer than 3, too few for a margin of noise"
    )


def test_replicates_are_those_of_one_name_and_one_data_set():
    rows = [("a", "mnist", 0.98), ("a", "mnist", 0.99), ("b", "cifar10", 0.8), (None, "mnist", 0.5)]
    rows += [("a", None, 0.1), ("a", "mnist", None)]
    assert noise_by_dataset(rows) == {"mnist": Noise("a", (0.98, 0.99))}, "one row has no noise"
