"""Intervals and p-values against SciPy's and by hand."""

from math import inf

import pytest
from scipy import stats

from convlab.results.intervals import (
    Borrowed,
    holm,
    images_error,
    interval_of_difference,
    level,
    pool,
    t_quantile,
)

A, B = [0.91, 0.84, 0.72, 0.8], [0.88, 0.79, 0.69, 0.75]


@pytest.mark.parametrize("freedom", [0.7, 1, 2, 3.5, 14, 1e6, inf])
@pytest.mark.parametrize("share", [0.5, 0.6, 0.975, 0.9999999, 1.0])
def test_a_quantile_is_that_of_scipys_distribution(share: float, freedom: float) -> None:
    assert t_quantile(share, freedom) == pytest.approx(stats.t.ppf(share, freedom), rel=1e-14)


def test_equal_seeds_give_scipys_paired_interval() -> None:
    found = interval_of_difference(list(enumerate(A)), list(enumerate(B)))
    assert found
    expected = stats.ttest_rel(A, B).confidence_interval(0.95)
    assert found.interval() == pytest.approx(tuple(expected))


def test_other_seeds_give_scipys_welch_interval() -> None:
    found = interval_of_difference(list(enumerate(A)), list(enumerate(B[:3], start=10)))
    assert found
    expected = stats.ttest_ind(A, B[:3], equal_var=False).confidence_interval(0.95)
    assert (found.n, found.interval()) == (3, pytest.approx(tuple(expected)))


def test_a_p_value_is_scipys() -> None:
    found = interval_of_difference(list(enumerate(A)), list(enumerate(B)))
    assert found

    def leaves_out_0(confidence: float) -> bool:
        ends = found.interval(confidence)
        return bool(ends) and ends[0] > 0

    assert level(leaves_out_0) == pytest.approx(stats.ttest_rel(A, B).pvalue, rel=1e-4)


def test_one_training_has_the_spread_that_it_borrows_or_none() -> None:
    alone, other = [(1, 0.9)], [(1, 0.8), (2, 0.82)]
    found = interval_of_difference(alone, other, borrowed=Borrowed("x", 0.01, 5))
    assert found
    half = stats.t.ppf(0.975, 4) * 0.01 * (1 + 1 / 2) ** 0.5
    assert found.interval() == pytest.approx((0.09 - half, 0.09 + half))
    bare = interval_of_difference(alone, other)
    assert bare
    assert bare.interval() is None
    assert interval_of_difference([], other) is None


def test_a_borrowed_spread_stands_for_that_of_two_seeds() -> None:
    two, other = [(1, 0.9), (2, 0.92)], [(1, 0.8), (2, 0.82)]
    found = interval_of_difference(two, other, borrowed=Borrowed("study", 0.01, 8, pooled=True))
    assert found
    half = stats.t.ppf(0.975, 7) * 0.01
    assert (found.n, found.interval()) == (2, pytest.approx((0.1 - half, 0.1 + half)))


def test_a_pooled_spread_is_about_the_mean_of_each_group() -> None:
    # sums of squares 0.0002 and 0.0018 on one and two degrees of freedom; single and equal ones say nothing
    deviation, freedom = pool([[0.9, 0.92], [0.5, 0.53, 0.56], [0.7], [0.1, 0.1, 0.1]])
    assert (deviation, freedom) == (pytest.approx((0.002 / 3) ** 0.5), 3)
    assert pool([[0.1, 0.1], [0.2]]) == (0.0, 0)


def test_images_widen_an_interval() -> None:
    images = images_error([0.9, 0.8], 100)
    assert images == pytest.approx(0.05)
    found = interval_of_difference([(1, 0.9), (2, 0.9)], [(1, 0.8), (2, 0.8)], images=images)
    assert found
    assert found.interval() == pytest.approx((0.1 - 1.959964 * 0.05, 0.1 + 1.959964 * 0.05))


@pytest.mark.parametrize(
    ("levels", "held"),
    [
        ([0.01, 0.04, 0.03], [True, False, False]),
        ([0.01, 0.02, 0.04], [True, True, True]),
        ([0.02, 0.02, 0.02], [False, False, False]),
        ([], []),
    ],
)
def test_holm_steps_down_from_the_smallest(levels: list[float], held: list[bool]) -> None:
    assert holm(levels) == held
