"""PPO's parts equal a reference written out in NumPy, and the whole moves towards the reward."""

import numpy as np
import pytest
import torch

from cutaway.alignment.choices import PPOConfig
from cutaway.alignment.ppo import (
    KL_WEIGHT,
    PPO,
    VALUE,
    adapted_weight,
    clipped_policy_loss,
    clipped_value_loss,
    estimate_advantages,
    explained_variance,
    token_rewards,
    whitened,
    whitened_rewards,
)
from cutaway.alignment.reward import new_head
from cutaway.alignment.rewards import Failed, Scorer
from cutaway.alignment.rollout import scored
from cutaway.errors import DataError
from cutaway.training.schedules import Trapezoid
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

MASK = torch.tensor(
    [
        [False, True, True, True, False],
        [True, True, False, False, False],
        [False, False, False, True, True],
    ]
)


def drawn(seed: int) -> torch.Tensor:
    return torch.randn(3, 5, generator=torch.Generator().manual_seed(seed)) * MASK


def test_advantages_are_the_discounted_sums_of_surprises() -> None:
    rewards, values = drawn(1), drawn(2)
    found = estimate_advantages(rewards, values, mask=MASK, discount=0.9, trace=0.7)
    for row in range(3):
        places = np.flatnonzero(MASK[row].numpy())
        r, v = rewards[row].double().numpy()[places], values[row].double().numpy()[places]
        surprises = r + 0.9 * np.append(v[1:], 0.0) - v
        expected = [
            sum((0.9 * 0.7) ** k * surprise for k, surprise in enumerate(surprises[place:]))
            for place in range(len(places))
        ]
        np.testing.assert_allclose(found[row].numpy()[places], expected, atol=1e-6)
    assert not found[~MASK].any()


def test_with_trace_one_an_advantage_is_the_return_less_the_value() -> None:
    rewards, values = drawn(1), drawn(2)
    found = estimate_advantages(rewards, values, mask=MASK, discount=1.0, trace=1.0)
    returns = rewards.flip(1).cumsum(dim=1).flip(1)
    torch.testing.assert_close(found[MASK], (returns - values)[MASK], atol=1e-6, rtol=0)


def test_the_policy_loss_is_the_lesser_gain_of_each_token() -> None:
    new, old, advantages = 0.3 * drawn(3), 0.3 * drawn(4), drawn(5)
    found = clipped_policy_loss(new, old, advantages, mask=MASK, clip=0.2)
    n, o, a = (x[MASK].double().numpy() for x in (new, old, advantages))
    ratio = np.exp(n - o)
    gains = np.minimum(ratio * a, np.clip(ratio, 0.8, 1.2) * a)
    np.testing.assert_allclose(float(found.loss), -gains.mean(), atol=1e-6)
    np.testing.assert_allclose(float(found.kl), (ratio - 1 - (n - o)).mean(), atol=1e-6)
    held = np.clip(ratio, 0.8, 1.2) * a < ratio * a
    np.testing.assert_allclose(float(found.clipped), held.mean(), atol=1e-6)


def test_the_value_loss_takes_the_greater_of_both_errors() -> None:
    values, old, returns = drawn(6), drawn(7), drawn(8)
    found = clipped_value_loss(values, old, returns, mask=MASK, clip=0.2)
    v, o, r = (x[MASK].double().numpy() for x in (values, old, returns))
    held = o + np.clip(v - o, -0.2, 0.2)
    expected = 0.5 * np.maximum((v - r) ** 2, (held - r) ** 2).mean()
    np.testing.assert_allclose(float(found), expected, atol=1e-6)


def test_prompt_tokens_do_not_count_whatever_they_hold() -> None:
    other = torch.where(MASK, 0.0, 1e9)
    new, old, advantages = drawn(3), drawn(4), drawn(5)
    one = clipped_policy_loss(new, old, advantages, mask=MASK, clip=0.2)
    two = clipped_policy_loss(new + other, old - other, advantages + other, mask=MASK, clip=0.2)
    assert float(one.loss) == float(two.loss)
    assert float(one.kl) == float(two.kl)


def test_whitened_advantages_have_mean_zero_and_spread_one_and_equal_ones_vanish() -> None:
    white = whitened(drawn(9) * 7 + 3 * MASK, mask=MASK)[MASK]
    assert abs(float(white.mean())) < 1e-6
    assert abs(float(white.std(unbiased=False)) - 1) < 1e-5
    assert not whitened(torch.full((3, 5), 0.25), mask=MASK).any()


def test_a_token_pays_for_its_share_of_the_kl_and_the_last_one_earns_the_reward() -> None:
    ratios = drawn(1)
    found = token_rewards(torch.tensor([5.0, 6.0, 7.0]), ratios, mask=MASK, kl_weight=0.1)
    expected = -0.1 * ratios
    for row, last in enumerate((3, 1, 4)):
        expected[row, last] += 5.0 + row
    torch.testing.assert_close(found, expected)


def test_the_charge_rises_when_the_policy_went_too_far_and_at_most_by_a_fifth_of_the_horizon() -> (
    None
):
    config = PPOConfig(kl_target=2.0, kl_horizon=100.0, answers=10)
    assert adapted_weight(0.1, kl=2.0, config=config) == pytest.approx(0.1)
    assert adapted_weight(0.1, kl=2.2, config=config) == pytest.approx(0.1 * 1.01)
    assert adapted_weight(0.1, kl=50.0, config=config) == pytest.approx(0.1 * 1.02)
    assert adapted_weight(0.1, kl=0.0, config=config) == pytest.approx(0.1 * 0.98)
    assert adapted_weight(0.1, kl=9.0, config=PPOConfig(kl_target=None)) == 0.1


def test_values_that_foretell_the_returns_explain_all_their_variance() -> None:
    returns = drawn(1)
    assert explained_variance(returns, returns + 3, mask=MASK) == pytest.approx(1.0)
    assert explained_variance(returns, torch.zeros(3, 5), mask=MASK) == pytest.approx(0.0)
    assert explained_variance(torch.ones(3, 5), returns, mask=MASK) == 0.0


def test_rewards_of_one_size_become_zero_and_an_unfinished_answer_pays() -> None:
    model = toy_model()
    rollout = roller(model).roll_out(PROMPTS, seeds=range(6))
    same = Scorer(Always([0.3]))
    found = scored(rollout, policy=model, reference=model, scorer=same)
    white = whitened_rewards(found, unfinished=0.5)
    assert white.tolist() == [0.0 if ended else -0.5 for ended in rollout.has_ended.tolist()]


def test_the_log_probabilities_of_policy_and_reference_are_equal_where_both_are_one_model() -> None:
    model = toy_model()
    rollout = roller(model).roll_out(PROMPTS, seeds=range(6))
    found = scored(rollout, policy=model, reference=toy_model(), scorer=scorer())
    assert found.policy.logprobs.equal(found.reference)
    assert float(found.kl) == 0.0


def test_an_answer_without_a_reward_is_not_learned_from() -> None:
    model = toy_model()
    rollout = roller(model).roll_out(PROMPTS, seeds=range(6))
    few = Scorer(Always([1.0, Failed(why="is ill"), 0.0]))
    found = scored(rollout, policy=model, reference=model, scorer=few)
    assert found.rows.loss_mask.any(dim=1).tolist() == [True, False, True] * 2


def ppo(model: torch.nn.Module, *, given: Scorer | None = None, answers: int = 24) -> PPO:
    return PPO(
        PPOConfig(answers=answers, minibatch=12, kl_weight=0.02, kl_target=None, most_kl=1.0),
        rounds(model, given),
    )


def test_the_policy_moves_towards_the_reward_and_the_reference_stays() -> None:
    from cutaway.training.loop import take_steps

    model = toy_model()
    learner = ppo(model)
    before = hash_of(learner.rounds.reference)
    state = toy_state(model, steps=25, companions={VALUE: new_head(model)})
    rewards: list[float] = []

    class Watch:
        def after_step(self, progress: object) -> None:
            rewards.append(progress.metrics["reward"])  # type: ignore[attr-defined]

        def at_end(self, state: object) -> None:
            pass

    schedule = Trapezoid(warmup=0.0)
    take_steps(state, lambda f: learner.take(state, f), schedule=schedule, hooks=[Watch()])
    assert np.mean(rewards[-4:]) > np.mean(rewards[:4]) + 0.2
    assert hash_of(learner.rounds.reference) == before
    assert state.notes[KL_WEIGHT] == 0.02


def test_a_step_depends_on_the_state_alone_so_that_a_resumed_run_is_bit_equal() -> None:
    whole = toy_state(model := toy_model(), steps=4, companions={VALUE: new_head(model)})
    for _ in range(4):
        ppo(model).take(whole, 1.0)
        whole.step += 1
    half = toy_state(model := toy_model(), steps=4, companions={VALUE: new_head(model)})
    for _ in range(2):
        ppo(model).take(half, 1.0)
        half.step += 1
    other = toy_model(seed=9)
    resumed = toy_state(other, steps=4, companions={VALUE: new_head(other)})
    resumed.load(half.tensors(), half.to_json())
    for _ in range(2):
        ppo(other).take(resumed, 1.0)
        resumed.step += 1
    for stem, tensors in whole.tensors().items():
        for name, tensor in tensors.items():
            assert tensor.equal(resumed.tensors()[stem][name]), f"{stem} {name}"
    assert whole.notes == resumed.notes


def test_equal_rewards_move_nothing_but_by_rounding_and_give_no_nan() -> None:
    model = toy_model()
    state = toy_state(model, steps=1, companions={VALUE: new_head(model)})
    taken = ppo(model, given=Scorer(Always([0.7]))).take(state, 1.0)
    assert all(np.isfinite(list(taken.metrics.values())))
    assert all(weight.isfinite().all() for weight in model.parameters())


def test_a_reward_that_fails_ends_the_run_before_a_weight_has_changed() -> None:
    model = toy_model()
    before = hash_of(model)
    state = toy_state(model, steps=1, companions={VALUE: new_head(model)})
    with pytest.raises(DataError, match="the reward failed for 4"):
        ppo(model, given=Scorer(Always([Failed(why="is ill")]))).take(state, 1.0)
    assert hash_of(model) == before
    assert share_of_a("", "ab") == 0.5
