"""How long a run is: told, or corrected from its pace, and replayed as it was decided."""

import pytest

from cutaway.training.plan import FIRST_GUESS, Plan


def test_a_run_of_steps_is_never_corrected() -> None:
    plan = Plan(steps=70)
    plan.correct(10, elapsed=1.0, seconds_per_step=100.0)
    assert plan.total(0) == plan.total(60) == 70
    assert plan.corrections == []


def test_a_timed_run_fills_its_time_at_the_pace_so_far() -> None:
    plan = Plan(seconds=100.0)
    assert plan.total(5) == FIRST_GUESS
    plan.correct(8, elapsed=20.0, seconds_per_step=0.5)
    assert plan.total(8) == 8 + 160
    plan.correct(100, elapsed=90.0, seconds_per_step=1.0)
    assert plan.total(100) == 110


def test_a_correction_changes_nothing_before_it() -> None:
    plan = Plan(seconds=100.0)
    plan.correct(8, elapsed=20.0, seconds_per_step=0.5)
    plan.correct(50, elapsed=60.0, seconds_per_step=0.5)
    assert [plan.total(step) for step in (7, 8, 49, 50)] == [FIRST_GUESS, 168, 168, 130]


def test_a_run_whose_time_is_over_takes_one_more_step_to_end() -> None:
    plan = Plan(seconds=10.0)
    plan.correct(30, elapsed=11.0, seconds_per_step=0.5)
    assert plan.total(30) == 31


@pytest.mark.parametrize("plan", [Plan(steps=9), Plan(seconds=60.0)])
def test_a_loaded_plan_decides_as_the_saved_one(plan: Plan) -> None:
    plan.correct(5, elapsed=3.0, seconds_per_step=0.25)
    plan.correct(20, elapsed=9.0, seconds_per_step=0.5)
    other = Plan(steps=plan.steps, seconds=plan.seconds)
    other.load(plan.to_json())
    assert [other.total(step) for step in range(200)] == [plan.total(step) for step in range(200)]
