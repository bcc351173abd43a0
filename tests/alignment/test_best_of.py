"""Best-of-n takes the answer of greatest reward, and learns it."""

import math

import numpy as np
import pytest
import torch

from cutaway.alignment.best_of import BestOf, best_places, choose_best, kl_bound
from cutaway.alignment.choices import BestOfConfig
from cutaway.alignment.rewards import Failed, Scorer
from cutaway.alignment.rollout import scored
from tests.alignment.toys import (
    PROMPTS,
    Always,
    hash_of,
    roller,
    rounds,
    scorer,
    share_of_a,
    toy_model,
    toy_state,
)


def test_the_best_of_more_answers_is_better() -> None:
    asker = roller(toy_model())
    worth = [
        np.mean(
            [
                share_of_a("", text)
                for text in choose_best(asker, PROMPTS, answers=n, seed=1, scorer=scorer())
            ]
        )
        for n in (1, 16)
    ]
    assert worth[1] > worth[0]


def test_of_groups_without_a_difference_none_is_learned() -> None:
    model = toy_model()
    rollout = roller(model).roll_out(PROMPTS, seeds=range(6))
    given = Scorer(Always([0.0, 1.0, 0.5, 0.5, Failed(why="is ill"), 2.0]))
    found = scored(rollout, policy=model, reference=model, scorer=given)
    assert best_places(found, answers=2) == [1]


def test_the_bound_on_the_divergence_is_the_closed_form() -> None:
    assert kl_bound(1) == 0
    assert kl_bound(8) == pytest.approx(math.log(8) - 7 / 8)


def learner(model: torch.nn.Module, given: Scorer) -> BestOf:
    return BestOf(BestOfConfig(prompts=4, answers=6), rounds(model, given))


def test_what_is_learned_moves_the_policy_towards_the_reward() -> None:
    model = toy_model()
    state, learns = toy_state(model, steps=25), learner(model, scorer())
    rewards = []
    for _ in range(25):
        rewards.append(learns.take(state, 1.0).metrics["reward"])
        state.step += 1
    assert np.mean(rewards[-4:]) > np.mean(rewards[:4]) + 0.2


def test_a_step_without_any_difference_changes_no_weight() -> None:
    model = toy_model()
    before = hash_of(model)
    learner(model, Scorer(Always([0.5]))).take(toy_state(model, steps=1), 1.0)
    assert hash_of(model) == before
