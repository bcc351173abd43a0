"""PPO on answers, told in the order in which it happens (Schulman et al. 2017; Ouyang et al. 2022,
section 3.5; Ziegler et al. 2019, section 2.2 for the adaptive KL).

One step of a run: roll out, score, charge for leaving the reference, estimate advantages, take
several passes of clipped policy and value losses, adapt the charge.
"""

from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from cutaway.alignment.choices import PPOConfig
from cutaway.alignment.passes import Passes
from cutaway.alignment.rollout import Scored
from cutaway.alignment.rounds import Rounds
from cutaway.alignment.sequences import (
    chosen_rows,
    masked_mean,
    read_answers,
    read_off,
    used_columns,
)
from cutaway.data.batches import TokenBatch
from cutaway.training.loop import Taken
from cutaway.training.state import TrainingState

TINY = 1e-8
"""Added to a spread before something is divided by it."""

SAME = 1e-6
"""Share of the greatest reward by which rewards must spread to differ at all."""

VALUE = "value"
"""The stem of the value head's file in a checkpoint."""

KL_WEIGHT = "kl_weight"
"""The note in which a run keeps what it charges for leaving the reference."""


class PPO:
    """A policy with a value for each of its tokens, and the frozen model that it began as."""

    def __init__(self, config: PPOConfig, rounds: Rounds) -> None:
        self.config, self.rounds = config, rounds

    def take(self, state: TrainingState, factor: float) -> Taken:
        """Makes one step from beginning to end."""
        config = self.config
        # 1. Roll out: the policy answers.
        rollout = self.rounds.roll_out(state.step, prompts=config.answers)
        # 2. Score, and read the answers again with policy and reference.
        found = self.rounds.score(rollout)
        with torch.no_grad():
            old_values = token_values(state.companions[VALUE], found.policy.vectors)
        # 3. What each token earns: nothing but its share of the KL, and at the end the reward.
        weight = float(state.notes.get(KL_WEIGHT, config.kl_weight))
        rewards = token_rewards(
            whitened_rewards(found, unfinished=config.unfinished),
            found.policy.logprobs - found.reference,
            mask=found.rows.loss_mask,
            kl_weight=weight,
        )
        # 4. How much better than expected each token was.
        advantages = estimate_advantages(
            rewards,
            old_values,
            mask=found.rows.loss_mask,
            discount=config.discount,
            trace=config.trace,
        )
        old = _Old(
            logprobs=found.policy.logprobs,
            values=old_values,
            advantages=whitened(advantages, mask=found.rows.loss_mask),
            returns=advantages + old_values,
        )
        # 5. Several passes over the answers, in small batches.
        passes = self.rounds.passes(state, factor)
        self._learn(state, found.rows, old=old, passes=passes)
        # 6. Charge more where the policy went too far, less where it stayed behind.
        kl = float(found.kl)
        state.notes[KL_WEIGHT] = adapted_weight(weight, kl=kl, config=config)
        explained = explained_variance(old.returns, old_values, mask=found.rows.loss_mask)
        metrics = {
            **rollout_metrics(found),
            "kl_weight": weight,
            "explained_variance": explained,
        }
        return passes.taken(found.rows, metrics=metrics)

    def _learn(
        self, state: TrainingState, rows: TokenBatch, *, old: "_Old", passes: Passes
    ) -> None:
        config = self.config
        every = torch.arange(config.answers)
        for part in self.rounds.batches(
            every, step=state.step, passes=config.passes, size=config.minibatch
        ):
            if not bool(rows.loss_mask[part].any()):
                continue
            batch, before = chosen_rows(rows, part), old.rows(rows, part)
            now = read_answers(state.model, batch)
            policy = clipped_policy_loss(
                now.logprobs,
                before.logprobs,
                before.advantages,
                mask=batch.loss_mask,
                clip=config.clip,
            )
            value = clipped_value_loss(
                token_values(state.companions[VALUE], now.vectors),
                before.values,
                before.returns,
                mask=batch.loss_mask,
                clip=config.value_clip,
            )
            passes.step(
                policy.loss + config.value_weight * value,
                step_kl=policy.kl,
                clip_fraction=policy.clipped,
                value_loss=value.detach(),
            )
            if float(policy.kl) > config.most_kl or passes.must_end:
                return


@dataclass(frozen=True, kw_only=True)
class _Old:
    """What was true of each token when the answers were drawn."""

    logprobs: Float[Tensor, "B T"]
    values: Float[Tensor, "B T"]
    advantages: Float[Tensor, "B T"]
    returns: Float[Tensor, "B T"]

    def rows(self, batch: TokenBatch, part: Tensor) -> "_Old":
        """Some rows, with the columns that `chosen_rows` keeps."""
        columns = used_columns(batch, part)
        return _Old(
            logprobs=self.logprobs[part, columns],
            values=self.values[part, columns],
            advantages=self.advantages[part, columns],
            returns=self.returns[part, columns],
        )


@dataclass(frozen=True, kw_only=True)
class PolicyLoss:
    """A clipped loss with what it says about how far the policy has moved."""

    loss: Float[Tensor, ""]
    """Mean over the tokens."""
    kl: Float[Tensor, ""]
    """Divergence from the policy that drew the answers, nats a token (Schulman 2020's k3)."""
    clipped: Float[Tensor, ""]
    """Share of tokens where the clipped side counted."""


def token_values(head: nn.Module, vectors: Float[Tensor, "B T D"]) -> Float[Tensor, "B T"]:
    """Returns what the head expects to earn from each place on."""
    return read_off(cast(nn.Linear, head), vectors)


def whitened_rewards(found: Scored, *, unfinished: float) -> Float[Tensor, " B"]:
    """Rewards less their mean, in spreads; an answer without an end loses `unfinished` spreads."""
    known = found.is_scored
    centered = torch.where(known, found.rewards - _mean_of(found.rewards, known), 0.0)
    spread = _mean_of(centered.square(), known).sqrt()
    # Rewards that are all alike differ by rounding only, and rounding is nothing to learn from.
    is_alike = spread <= SAME * found.rewards.abs().max().clamp(min=1.0)
    white = torch.where(is_alike, 0.0, centered / (spread + TINY))
    return white - unfinished * (known & ~found.rollout.has_ended).float()


def _mean_of(values: Float[Tensor, " B"], known: Bool[Tensor, " B"]) -> Float[Tensor, ""]:
    return torch.where(known, values, 0.0).sum() / known.sum().clamp(min=1)


def token_rewards(
    rewards: Float[Tensor, " B"],
    log_ratios: Float[Tensor, "B T"],
    *,
    mask: Bool[Tensor, "B T"],
    kl_weight: float,
) -> Float[Tensor, "B T"]:
    """Charges each token for log(policy / reference), and pays the reward at the last one."""
    earned = torch.where(mask, -kl_weight * log_ratios, 0.0)
    places = torch.arange(mask.shape[1], device=mask.device)
    last = torch.where(mask, places, -1).amax(dim=1, keepdim=True)
    return earned + torch.where(mask & (places == last), rewards.to(mask.device)[:, None], 0.0)


def estimate_advantages(
    rewards: Float[Tensor, "B T"],
    values: Float[Tensor, "B T"],
    *,
    mask: Bool[Tensor, "B T"],
    discount: float,
    trace: float,
) -> Float[Tensor, "B T"]:
    """Generalised advantage estimation over the mask (Schulman et al. 2016, equation 16).

    Nothing comes after an answer's last token, whether it ended or ran out of room.
    """
    values = torch.where(mask, values, 0.0)
    advantages = torch.zeros_like(values)
    following = torch.zeros_like(values[:, 0])
    for place in range(values.shape[1] - 1, -1, -1):
        is_last = place == values.shape[1] - 1
        after = torch.zeros_like(following) if is_last else values[:, place + 1]
        surprise = rewards[:, place] + discount * after - values[:, place]
        following = torch.where(mask[:, place], surprise + discount * trace * following, 0.0)
        advantages[:, place] = following
    return advantages


def whitened(values: Float[Tensor, "B T"], *, mask: Bool[Tensor, "B T"]) -> Float[Tensor, "B T"]:
    """Shifts and scales what is in the mask to mean 0 and variance 1; 0 where all are equal."""
    mean = masked_mean(values, mask)
    spread = masked_mean((values - mean).square(), mask).sqrt()
    return torch.where(mask, (values - mean) / (spread + TINY), 0.0)


def clipped_policy_loss(
    logprobs: Float[Tensor, "B T"],
    old: Float[Tensor, "B T"],
    advantages: Float[Tensor, "B T"],
    *,
    mask: Bool[Tensor, "B T"],
    clip: float,
) -> PolicyLoss:
    """The lesser of the plain and the clipped gain, negated (Schulman et al. 2017, equation 7)."""
    logs = torch.where(mask, logprobs - old, 0.0)
    ratio = logs.exp()
    plain = -advantages * ratio
    held = -advantages * ratio.clamp(1 - clip, 1 + clip)
    with torch.no_grad():
        kl = masked_mean(ratio - 1 - logs, mask)
        clipped = masked_mean((held > plain).float(), mask)
    return PolicyLoss(loss=masked_mean(torch.maximum(plain, held), mask), kl=kl, clipped=clipped)


def clipped_value_loss(
    values: Float[Tensor, "B T"],
    old: Float[Tensor, "B T"],
    returns: Float[Tensor, "B T"],
    *,
    mask: Bool[Tensor, "B T"],
    clip: float,
) -> Float[Tensor, ""]:
    """Half the greater of two squared errors: of the value, and of it held near the old one."""
    held = old + (values - old).clamp(-clip, clip)
    worst = torch.maximum((values - returns).square(), (held - returns).square())
    return 0.5 * masked_mean(worst, mask)


def adapted_weight(weight: float, *, kl: float, config: PPOConfig) -> float:
    """Moves the charge in proportion to the error, at most a fifth (Ziegler et al. 2019, 2.2)."""
    if config.kl_target is None:
        return weight
    error = min(max(kl / config.kl_target - 1.0, -0.2), 0.2)
    return weight * (1.0 + error * config.answers / config.kl_horizon)


def explained_variance(
    returns: Float[Tensor, "B T"], values: Float[Tensor, "B T"], *, mask: Bool[Tensor, "B T"]
) -> float:
    """Share of the returns' variance that the values foretold: 1 is all of it, 0 none."""
    if int(mask.sum()) < 2:
        return 0.0
    returns, values = returns[mask], values[mask]
    spread = returns.var()
    return float(1 - (returns - values).var() / spread) if float(spread) > 0 else 0.0


def rollout_metrics(found: Scored) -> dict[str, float]:
    """What is worth watching of every batch of answers, whatever learns from it."""
    known = found.is_scored
    count = max(1, int(known.sum()))
    texts = [exchange.answer for exchange in found.rollout.exchanges]
    return {
        "reward": float(found.rewards[known].sum()) / count,
        "reward_spread": float(found.rewards[known].std(unbiased=False)) if count > 1 else 0.0,
        "kl": float(found.kl),
        "entropy": float(masked_mean(found.entropies, found.rows.loss_mask)),
        "length": float(found.rollout.lengths.mean()),
        "finished": float(found.rollout.has_ended.float().mean()),
        "different": len(set(texts)) / len(texts),
        "unscored": float((~known).sum()) / len(known),
    }
