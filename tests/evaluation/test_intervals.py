"""Intervals agree with closed forms and say the same thing twice."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cutaway.evaluation.intervals import Interval, bootstrap_mean, bootstrap_rate, wilson


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        (0, 10, 0.0, 0.27753),
        (5, 10, 0.23659, 0.76341),
        (10, 10, 0.72247, 1.0),
        (95, 100, 0.88825, 0.97846),
    ],
)
def test_wilson_gives_the_published_bounds(successes, trials, low, high):
    interval = wilson(successes, trials)
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=1e-5)


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_stays_within_zero_and_one_and_holds_the_share(counts):
    successes, trials = counts
    interval = wilson(successes, trials)
    assert 0 <= interval.low <= interval.value <= interval.high <= 1
    assert interval.value == successes / trials


def test_more_trials_make_a_narrower_interval():
    few, many = wilson(9, 10), wilson(900, 1000)
    assert many.high - many.low < (few.high - few.low) / 5


@pytest.mark.parametrize(("successes", "trials"), [(0, 0), (3, 2), (-1, 2)])
def test_wilson_refuses_impossible_counts(successes, trials):
    with pytest.raises(ValueError, match=f"{successes} successes of {trials} trials"):
        wilson(successes, trials)


def test_the_bootstrap_of_a_mean_is_as_wide_as_its_standard_error_says():
    values = np.random.default_rng(0).normal(5, 2, size=400)
    interval = bootstrap_mean(values, seed=1)
    expected = 1.96 * values.std() / math.sqrt(400)
    assert interval.value == pytest.approx(values.mean())
    assert (interval.high - interval.low) / 2 == pytest.approx(expected, rel=0.1)


def test_a_rate_is_the_ratio_of_the_sums_and_not_the_mean_of_the_ratios():
    assert bootstrap_rate([1.0, 9.0], [1.0, 99.0]).value == pytest.approx(0.1)


def test_the_same_seed_draws_the_same_interval():
    first, again, other = (
        bootstrap_rate([1.0, 2.0, 4.0], [1.0, 1.0, 2.0], seed=seed) for seed in (3, 3, 4)
    )
    assert first == again
    assert (other.low, other.high) != (math.nan, math.nan)


def test_items_that_agree_leave_no_spread():
    assert bootstrap_rate([2.0] * 5, [4.0] * 5) == Interval(value=0.5, low=0.5, high=0.5)


def test_items_of_no_size_do_not_break_the_bootstrap():
    interval = bootstrap_rate([1.0, 0.0, 0.0], [2.0, 0.0, 0.0])
    assert interval == Interval(value=0.5, low=0.5, high=0.5)


@pytest.mark.parametrize(("amounts", "sizes"), [([], []), ([1.0], [0.0]), ([1.0], [1.0, 2.0])])
def test_the_bootstrap_refuses_what_has_no_rate(amounts, sizes):
    with pytest.raises(ValueError, match="one each and a positive sum"):
        bootstrap_rate(amounts, sizes)


def test_an_interval_must_hold_its_value():
    with pytest.raises(ValueError, match="does not hold"):
        Interval(value=2.0, low=0.0, high=1.0)


@pytest.mark.parametrize("lost", [math.nan, math.inf])
def test_a_model_that_has_lost_its_numbers_is_shown_as_what_it_is(lost: float) -> None:
    found = bootstrap_rate([1.0, lost], [2.0, 3.0])
    assert [str(found.value), str(found.low), str(found.high)] == [str(lost)] * 3


def test_bounds_that_are_known_need_a_value_that_is() -> None:
    with pytest.raises(ValueError, match="does not hold nan"):
        Interval(value=math.nan, low=0.0, high=1.0)
