"""What goes wrong is said in words, once; what goes well is not."""

from typing import Any

from torch import nn

from cutaway.alignment.choices import GRPOConfig
from cutaway.alignment.grpo import GRPO
from cutaway.alignment.health import LEAST_STEPS, Health, Look, signs_in_looks, signs_in_steps
from cutaway.training.loop import take_steps
from cutaway.training.schedules import Trapezoid
from tests.alignment.toys import rounds, scorer, toy_model, toy_state


def steps(**changed: float) -> list[dict[str, float]]:
    usual = {
        "reward": 0.5,
        "kl": 1.0,
        "entropy": 1.0,
        "length": 20.0,
        "different": 0.9,
        "finished": 1.0,
        "groups_with_advantage": 0.6,
    }
    made = []
    for place in range(8):
        row = usual | changed
        made.append(row | {"reward": row["reward"] + 0.01 * (place % 3)})
    return made


def kinds(*, share: float = 0.4, **changed: float) -> list[str]:
    return [sign.kind for sign in signs_in_steps(steps(), steps(**changed), share=share)]


def test_a_run_that_gets_better_is_healthy() -> None:
    assert kinds(reward=0.9, kl=5.0, entropy=0.7, length=24.0, share=1.0) == []


def test_a_policy_that_says_the_same_each_time_has_collapsed() -> None:
    assert kinds(reward=0.9, entropy=0.1) == ["collapse"]


def test_one_answer_to_all_questions_is_told() -> None:
    assert kinds(reward=0.9, different=0.2) == ["alike"]


def test_a_reward_that_rises_with_the_length_may_be_hacked() -> None:
    assert kinds(reward=0.9, length=60.0) == ["hacked by length"]
    assert kinds(reward=0.9, length=5.0) == ["hacked by length"]


def test_a_reward_that_does_not_rise_by_half_of_the_run_is_told() -> None:
    assert kinds(share=0.6) == ["nothing learned"]
    assert kinds(share=0.4) == []


def test_groups_that_are_all_alike_are_told() -> None:
    alike = steps(groups_with_advantage=0.0)
    found = signs_in_steps(alike, alike, share=0.2)
    assert [sign.kind for sign in found] == ["no advantage"]
    assert "in 100% of the groups all answers earn the same" in found[0].words


def test_a_policy_far_away_and_answers_without_an_end_are_told() -> None:
    assert kinds(reward=0.9, kl=80.0) == ["far"]
    assert kinds(reward=0.9, finished=0.2) == ["unfinished"]


def look(reward: float, truth: float | None) -> Look:
    return Look(reward=reward, truth=truth, truth_error=0.01)


def test_a_reward_that_rises_while_the_truth_falls_is_hacked() -> None:
    found = signs_in_looks([look(0.1, 0.5), look(0.2, 0.7), look(0.4, 0.6)])
    assert [sign.kind for sign in found] == ["hacked by the truth"]
    assert "fell from 0.700 to 0.600" in found[0].words


def test_a_truth_that_falls_within_its_error_or_is_not_known_says_nothing() -> None:
    assert signs_in_looks([look(0.1, 0.70), look(0.4, 0.69)]) == []
    assert signs_in_looks([look(0.1, None), look(0.4, None)]) == []


def run_by_length(model: nn.Module, *, sign: int, steps: int, hooks: list[Health]) -> None:
    """Pays for each letter of an answer, or charges for it."""
    paid = scorer(lambda prompt, answer: float(sign * len(answer)))
    learner = GRPO(GRPOConfig(prompts=4, answers=6, kl_weight=0.0), rounds(model, paid))
    state = toy_state(model, steps=steps)
    schedule = Trapezoid(warmup=0.0)
    take_steps(state, lambda f: learner.take(state, f), schedule=schedule, hooks=hooks)


def test_the_alarm_rings_on_a_planted_reward_of_length_once() -> None:
    model = toy_model()
    run_by_length(model, sign=-1, steps=12, hooks=[])  # answers are short at first
    warned: list[str] = []
    written: list[dict[str, Any]] = []
    health = Health(warn=warned.append, write=written.append)
    run_by_length(model, sign=1, steps=LEAST_STEPS + 16, hooks=[health])
    hacked = [words for words in warned if "may be hacked" in words]
    assert len(hacked) == 1
    assert any(record["warning"] in hacked[0] for record in written)
