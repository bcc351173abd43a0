"""GRPO: the answers to one prompt are each other's baseline; no values (Shao et al. 2024, 4.1).

A group whose answers all earn the same says nothing: it is left out, and a step of nothing but such
groups changes no weight.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from cutaway.alignment.choices import GRPOConfig
from cutaway.alignment.passes import Passes
from cutaway.alignment.ppo import SAME, TINY, clipped_policy_loss, rollout_metrics
from cutaway.alignment.rounds import Rounds
from cutaway.alignment.sequences import chosen_rows, masked_mean, read_answers, used_columns
from cutaway.data.batches import TokenBatch
from cutaway.training.loop import Taken
from cutaway.training.state import TrainingState


class GRPO:
    """A policy that answers in groups, and the frozen model that it began as."""

    def __init__(self, config: GRPOConfig, rounds: Rounds) -> None:
        self.config, self.rounds = config, rounds

    def take(self, state: TrainingState, factor: float) -> Taken:
        """Makes one step: groups of answers, advantages, and the clipped loss."""
        config = self.config
        rollout = self.rounds.roll_out(state.step, prompts=config.prompts, answers=config.answers)
        found = self.rounds.score(rollout)
        groups = group_advantages(
            found.rewards - config.unfinished * (~rollout.has_ended).float(),
            is_scored=found.is_scored,
            answers=config.answers,
            divisor=config.advantages,
        )
        device = found.rows.tokens.device
        passes = self.rounds.passes(state, factor)
        learned = groups.says_something.nonzero().squeeze(-1).to(device)
        if len(learned):
            old = _Old(
                logprobs=found.policy.logprobs,
                reference=found.reference,
                advantages=groups.advantages.to(device),
            )
            self._learn(state, found.rows, learned=learned, old=old, passes=passes)
        metrics = {**rollout_metrics(found), "groups_with_advantage": groups.share}
        return passes.taken(found.rows, metrics=metrics)

    def _learn(
        self,
        state: TrainingState,
        rows: TokenBatch,
        *,
        learned: Int[Tensor, " N"],
        old: "_Old",
        passes: Passes,
    ) -> None:
        config = self.config
        for part in self.rounds.batches(
            learned, step=state.step, passes=config.passes, size=config.minibatch
        ):
            batch, before = chosen_rows(rows, part), old.rows(rows, part)
            now = read_answers(state.model, batch)
            policy = clipped_policy_loss(
                now.logprobs,
                before.logprobs,
                before.advantages[:, None].expand_as(now.logprobs),
                mask=batch.loss_mask,
                clip=config.clip,
            )
            away = reference_kl(now.logprobs, before.reference, mask=batch.loss_mask)
            passes.step(
                policy.loss + config.kl_weight * away,
                step_kl=policy.kl,
                clip_fraction=policy.clipped,
                token_kl=away.detach(),
            )
            if passes.must_end:
                return


@dataclass(frozen=True, kw_only=True)
class Groups:
    """How each answer compares with the others to its prompt."""

    advantages: Float[Tensor, " B"]
    """0 in a group that says nothing."""
    says_something: Bool[Tensor, " B"]
    """Whether the answer has a reward and its group has different ones."""
    share: float
    """Share of the groups with any advantage."""


@dataclass(frozen=True, kw_only=True)
class _Old:
    """What was true of the answers when they were drawn."""

    logprobs: Float[Tensor, "B T"]
    reference: Float[Tensor, "B T"]
    advantages: Float[Tensor, " B"]

    def rows(self, batch: TokenBatch, part: Tensor) -> "_Old":
        """Some rows, with the columns that `chosen_rows` keeps."""
        columns = used_columns(batch, part)
        return _Old(
            logprobs=self.logprobs[part, columns],
            reference=self.reference[part, columns],
            advantages=self.advantages[part],
        )


def group_advantages(
    rewards: Float[Tensor, " B"],
    *,
    is_scored: Bool[Tensor, " B"],
    answers: int,
    divisor: Literal["normalized", "centered"],
) -> Groups:
    """Compares each answer with its group: `answers` rows that follow each other."""
    grouped, known = rewards.view(-1, answers), is_scored.view(-1, answers)
    count = known.sum(dim=1, keepdim=True)
    mean = torch.where(known, grouped, 0.0).sum(dim=1, keepdim=True) / count.clamp(min=1)
    centered = torch.where(known, grouped - mean, 0.0)
    # The sample's spread, which divides by one less, as the paper's and others' code does.
    spread = (centered.square().sum(dim=1, keepdim=True) / (count - 1).clamp(min=1)).sqrt()
    differs = known & (spread > SAME * grouped.abs().amax(dim=1, keepdim=True).clamp(min=1.0))
    scaled = centered / (spread + TINY) if divisor == "normalized" else centered
    return Groups(
        advantages=torch.where(differs, scaled, 0.0).flatten(),
        says_something=differs.flatten(),
        share=float(differs.any(dim=1).float().mean()),
    )


def reference_kl(
    logprobs: Float[Tensor, "B T"],
    reference: Float[Tensor, "B T"],
    *,
    mask: Bool[Tensor, "B T"],
) -> Float[Tensor, ""]:
    """Nats a token by which the policy has left the reference; never below 0 (equation 4)."""
    back = torch.where(mask, reference - logprobs, 0.0)
    return masked_mean(back.exp() - 1 - back, mask)
