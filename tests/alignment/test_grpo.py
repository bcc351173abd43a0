"""GRPO compares answers within their group; a group that says nothing changes nothing."""

import numpy as np
import pytest
import torch

from cutaway.alignment.choices import GRPOConfig
from cutaway.alignment.grpo import GRPO, group_advantages, reference_kl
from cutaway.alignment.rewards import Failed, FunctionReward, Scorer
from cutaway.errors import ConfigError
from tests.alignment.toys import Always, hash_of, rounds, share_of_a, toy_model, toy_state

KNOWN = torch.ones(6, dtype=torch.bool)


def test_advantages_are_the_rewards_in_spreads_of_their_group() -> None:
    rewards = torch.tensor([1.0, 2.0, 4.0, -3.0, 5.0, 0.5])
    found = group_advantages(rewards, is_scored=KNOWN, answers=3, divisor="normalized")
    groups = rewards.double().numpy().reshape(2, 3)
    spread = groups.std(axis=1, ddof=1, keepdims=True)
    expected = (groups - groups.mean(axis=1, keepdims=True)) / spread
    np.testing.assert_allclose(found.advantages.numpy(), expected.flatten(), atol=1e-6)
    assert found.share == 1.0


def test_centered_advantages_keep_the_size_of_the_difference() -> None:
    rewards = torch.tensor([1.0, 0.0, 0.0, 3.0, 0.0, 0.0])
    found = group_advantages(rewards, is_scored=KNOWN, answers=3, divisor="centered")
    np.testing.assert_allclose(
        found.advantages.numpy(), [2 / 3, -1 / 3, -1 / 3, 2.0, -1.0, -1.0], atol=1e-6
    )


def test_a_group_of_equal_rewards_says_nothing() -> None:
    rewards = torch.tensor([0.1, 0.1, 0.1, 1.0, 0.0, 1.0])
    found = group_advantages(rewards, is_scored=KNOWN, answers=3, divisor="normalized")
    assert found.says_something.tolist() == [False] * 3 + [True] * 3
    assert not found.advantages[:3].any()
    assert found.share == 0.5


def test_an_answer_without_a_reward_is_no_part_of_its_group() -> None:
    known = torch.tensor([True, True, False])
    rewards = torch.tensor([1.0, 3.0, 0.0])
    found = group_advantages(rewards, is_scored=known, answers=3, divisor="centered")
    assert found.advantages.tolist() == [-1.0, 1.0, 0.0]
    alone = torch.tensor([True, False, False])
    found = group_advantages(rewards, is_scored=alone, answers=3, divisor="normalized")
    assert found.share == 0.0


def test_the_distance_from_the_reference_is_never_negative() -> None:
    generator = torch.Generator().manual_seed(1)
    logs, reference = torch.randn(2, 4, 6, generator=generator).unbind()
    mask = torch.rand(4, 6, generator=generator) > 0.5
    back = (reference - logs)[mask].double().numpy()
    found = float(reference_kl(logs, reference, mask=mask))
    np.testing.assert_allclose(found, (np.exp(back) - 1 - back).mean(), rtol=1e-5)
    assert found >= 0
    assert float(reference_kl(logs, logs, mask=mask)) == 0


def grpo(model: torch.nn.Module, *, given: Scorer | None = None) -> GRPO:
    config = GRPOConfig(prompts=4, answers=6, minibatch=12, kl_weight=0.01)
    return GRPO(config, rounds(model, given))


def test_a_step_of_groups_that_say_nothing_changes_no_weight_and_no_momentum() -> None:
    model = toy_model()
    state = toy_state(model, steps=3)
    grpo(model).take(state, 1.0)  # so that there is a momentum
    before = hash_of(model)
    taken = grpo(model, given=Scorer(Always([0.5]))).take(state, 1.0)
    assert hash_of(model) == before
    assert taken.metrics["groups_with_advantage"] == 0.0
    assert all(np.isfinite(list(taken.metrics.values())))
    assert np.isfinite(taken.loss)


def test_the_policy_moves_towards_the_reward() -> None:
    model = toy_model()
    learner, state = grpo(model), toy_state(model, steps=25)
    rewards = []
    for _ in range(25):
        rewards.append(learner.take(state, 1.0).metrics["reward"])
        state.step += 1
    assert np.mean(rewards[-4:]) > np.mean(rewards[:4]) + 0.2


def test_failed_rewards_leave_the_rest_of_the_group_to_learn_from() -> None:
    model = toy_model()
    given = Scorer(Always([1.0, 0.0, Failed(why="is ill"), 0.0, 1.0, 0.0]), most_failing=0.5)
    taken = grpo(model, given=given).take(toy_state(model, steps=1), 1.0)
    assert taken.metrics["unscored"] == pytest.approx(1 / 6)
    assert taken.metrics["groups_with_advantage"] == 1.0


def test_a_group_of_one_is_refused() -> None:
    with pytest.raises(ConfigError, match="a group of one"):
        GRPOConfig(answers=1)


def test_answers_learned_from_once_are_read_once_and_all_is_as_if_read_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = GRPOConfig(prompts=4, answers=6, minibatch=24, kl_weight=0.1)
    lengths = Scorer(FunctionReward(lambda prompt, answer: len(answer) + share_of_a("", answer)))
    found = []
    for _ in range(2):
        model = toy_model(seed=2)
        learner = GRPO(config, rounds(model, lengths))
        found.append(learner.take(toy_state(model, steps=1), 1.0))
        monkeypatch.setattr(GRPO, "_reads_once", lambda *_: False)
    once, twice = found
    assert once.metrics["groups_with_advantage"] == 1.0
    assert once.metrics == pytest.approx(twice.metrics, rel=1e-4, abs=1e-5)
    assert once.loss == pytest.approx(twice.loss, abs=1e-5)
    assert once.norm == pytest.approx(twice.norm, rel=1e-4)
