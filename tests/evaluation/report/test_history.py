"""Lines of a run's files become series and samples; odd lines are passed over."""

import math

from cutaway.evaluation.report.history import histories, samples_by_prompt, spread_out

ROWS = [
    {"stage": "pretrain", "step": 0, "loss": 7.6, "seconds": 0.0},
    {"stage": "pretrain", "step": 10, "loss": math.nan, "seconds": 60.0},
    {"stage": "finetune", "step": 0, "loss": 2.0},
    {"stage": "pretrain", "step": 20, "loss": 5.0, "validation_loss": 5.5, "seconds": 120.0},
    {"event": "resumed"},
]


def test_lines_are_parted_by_stage_in_order_of_appearance():
    first, second = histories(ROWS)
    assert (first.stage, second.stage) == ("pretrain", "finetune")
    assert first.series("loss") == [(0.0, 7.6), (20.0, 5.0)]
    assert first.series("validation_loss") == [(20.0, 5.5)]
    assert second.series("loss") == [(0.0, 2.0)]


def test_losses_that_are_not_finite_are_told():
    first, second = histories(ROWS)
    assert first.broken_steps() == [10]
    assert second.broken_steps() == []


def test_a_step_knows_its_minutes():
    first, second = histories(ROWS)
    assert [first.minutes_at(step) for step in (0, 9, 10, 99)] == [0, 0, 1, 2]
    assert second.minutes_at(0) is None


def test_samples_are_parted_by_prompt_and_lose_it():
    rows = [
        {"stage": "pretrain", "step": 0, "prompt": "And", "text": "And xqz"},
        {"stage": "pretrain", "step": 9, "prompt": "And", "text": " light"},
        {"prompt": "Or", "text": "else"},
        {"prompt": None, "text": "lost"},
    ]
    found = samples_by_prompt(rows)
    assert list(found) == ["And", "Or"]
    assert [(sample.step, sample.text) for sample in found["And"]] == [(0, " xqz"), (9, " light")]


def test_a_few_samples_stand_for_many_the_last_among_them():
    rows = [{"step": step, "prompt": "p", "text": "t"} for step in range(100)]
    shown = [sample.step for sample in spread_out(samples_by_prompt(rows)["p"], most=6)]
    assert len(shown) == 6
    assert (shown[0], shown[-1]) == (0, 99)
    assert shown[1] - shown[0] < shown[-1] - shown[-2]
