"""Schedules at the points where their formulas are plain."""

import math
from itertools import pairwise

import pytest

from cutaway.training.schedules import Cosine, InverseSquareRoot, Schedule, Trapezoid


def curve(schedule: Schedule, steps: int = 100) -> list[float]:
    return [schedule.factor(step, steps) for step in range(steps)]


@pytest.mark.parametrize("schedule", [Cosine(warmup=0.1), Trapezoid(warmup=0.1)])
def test_the_rate_rises_on_a_straight_line_to_one(schedule: Schedule) -> None:
    assert curve(schedule)[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])


def test_a_cosine_falls_on_half_a_cosine_to_its_floor() -> None:
    schedule = Cosine(warmup=0.2, floor=0.1)
    found = curve(schedule)
    assert found[20] == pytest.approx(1.0)
    assert found[60] == pytest.approx((1 + 0.1) / 2)
    assert found[40] == pytest.approx(0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi / 4)))
    assert schedule.factor(100, 100) == pytest.approx(0.1)
    assert schedule.factor(150, 100) == pytest.approx(0.1)
    assert found[20:] == sorted(found[20:], reverse=True)


def test_a_trapezoid_is_level_then_falls_on_a_straight_line() -> None:
    schedule = Trapezoid(warmup=0.1, cooldown=0.4, floor=0.2)
    found = curve(schedule)
    assert found[9:61] == [1.0] * 52
    assert found[80] == pytest.approx(0.2 + 0.8 * 0.5)
    steps = [before - after for before, after in pairwise(found[60:])]
    assert steps == pytest.approx([0.8 / 40] * 39)
    assert schedule.factor(100, 100) == pytest.approx(0.2)


def test_the_inverse_root_has_its_peak_at_the_end_of_the_warm_up() -> None:
    schedule = InverseSquareRoot(warmup_steps=10)
    found = curve(schedule)
    assert max(found) == found[9] == 1.0
    assert found[4] == pytest.approx(0.5)
    assert found[39] == pytest.approx(0.5)


@pytest.mark.parametrize(
    "schedule",
    [Cosine(), Cosine(warmup=0.0), Trapezoid(), Trapezoid(warmup=0.0, cooldown=1.0)],
)
@pytest.mark.parametrize("steps", [1, 2, 3, 50])
def test_no_step_of_a_short_run_has_no_rate(schedule: Schedule, steps: int) -> None:
    assert all(0 < factor <= 1 for factor in curve(schedule, steps))
