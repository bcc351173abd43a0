"""Axes show round numbers inside their range, and thinning keeps the ends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cutaway.evaluation.report.scales import (
    LinearScale,
    LogScale,
    round_step,
    short_number,
    smoothed,
    thinned,
)


def test_a_linear_scale_maps_its_ends_to_the_edges():
    scale = LinearScale(low=10, high=20, start=0, stop=100)
    assert [scale(value) for value in (10, 15, 20)] == [0, 50, 100]


def test_what_lies_outside_is_drawn_at_the_edge():
    scale = LinearScale(low=0, high=1, start=0, stop=100)
    assert (scale(-3), scale(7)) == (0, 100)


def test_equal_ratios_are_equal_distances_on_a_logarithmic_scale():
    scale = LogScale(low=1, high=100, start=0, stop=100)
    assert scale(10) == pytest.approx(50)


@pytest.mark.parametrize("kind", [LinearScale, LogScale])
@given(low=st.floats(0.01, 1e6), ratio=st.floats(1.05, 1e4), count=st.integers(1, 8))
def test_ticks_are_ascending_and_inside(kind, low, ratio, count):
    scale = kind(low=low, high=low * ratio, start=0, stop=1)
    ticks = scale.ticks(count)
    assert ticks == sorted(set(ticks))
    assert all(low * (1 - 1e-6) <= tick <= low * ratio * (1 + 1e-6) for tick in ticks)
    assert len(ticks) <= count + 2


@pytest.mark.parametrize(
    ("step", "expected"), [(0.7, 1), (1, 1), (1.2, 2), (23, 25), (260, 500), (0.0003, 0.0005)]
)
def test_steps_are_rounded_up_to_ones_that_read_well(step, expected):
    assert round_step(step) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("value", "words"),
    [(0, "0"), (2.5, "2.5"), (12_000, "12k"), (3.4e6, "3.4M"), (0.02, "0.02"), (3e-4, "3e-4")],
)
def test_numbers_are_short(value, words):
    assert short_number(value) == words


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=300), st.integers(3, 50))
def test_thinning_keeps_both_ends_and_the_limit(values, most):
    points = [(float(place), value) for place, value in enumerate(values)]
    kept = thinned(points, most=most)
    assert len(kept) <= most
    assert (kept[0], kept[-1]) == (points[0], points[-1])


def test_smoothing_looks_back_and_never_ahead():
    points = [(float(place), 0.0 if place < 50 else 8.0) for place in range(100)]
    means = smoothed(points, window=4)
    assert [value for _, value in means[:50]] == [0.0] * 50
    assert [value for _, value in means[50:54]] == [2.0, 4.0, 6.0, 8.0]


def test_smoothing_does_not_lag_behind_a_steep_beginning():
    points = [(float(place), 10.0 - place) for place in range(7)]
    assert smoothed(points, window=50) == points
