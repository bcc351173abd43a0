"""Where the truth turned is said in words, whatever was followed."""

import pytest

from cutaway.evaluation.report.alignment_sections import alignment_section, turning_point
from cutaway.evaluation.report.history import StageHistory

TRUTHS = {0.0: 0.5, 3.0: 0.6, 20.0: 0.4}


def history(
    *, truths: dict[float, float] = TRUTHS, rewards: dict[float, float] | None = None
) -> StageHistory:
    rows = [
        {"stage": "align", "step": step, "held_out_kl": distance, "truth": truth}
        | ({} if rewards is None else {"held_out_reward": rewards[distance]})
        for step, (distance, truth) in enumerate(truths.items())
    ]
    return StageHistory(stage="align", rows=rows)


def test_where_judgements_alone_are_followed_too_far_the_best_distance_is_named():
    said = turning_point(history())
    assert "0.600" in said
    assert "3.0 nats" in said
    assert "at 20.0 nats the truth is 0.400" in said


@pytest.mark.parametrize(("last", "said"), [(0.9, "goes on rising"), (0.1, "no higher")])
def test_a_reward_that_rises_beyond_the_best_truth_is_told_from_one_that_does_not(
    last: float, said: str
):
    assert said in turning_point(history(rewards={0.0: 0.1, 3.0: 0.3, 20.0: last}))


def test_a_truth_that_is_best_at_the_greatest_distance_is_not_called_over_optimised():
    rising = history(truths={0.0: 0.5, 3.0: 0.6, 20.0: 0.7})
    assert "nothing is over-optimised" in turning_point(rising)


def test_the_truth_is_drawn_over_the_distance_also_where_nothing_else_was_scored():
    assert "Truth over distance" in str(alignment_section([history()]))
    assert "Reward over distance" not in str(alignment_section([history()]))
