"""GRPO: the answers to one prompt are each other's baseline; no values (Shao et al. 2024, 4.1).

A group whose answers all earn the same says nothing: it is left out, and a step of nothing but such
groups changes no weight.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from cutaway.alignment.choices import GRPOConfig
from cutaway.alignment.passes import Passes
from cutaway.alignment.ppo import SAME, TINY, clipped_policy_loss, rollout_metrics
from cutaway.alignment.rollout import Rewarded, Scored
from cutaway.alignment.rounds import Rounds
from cutaway.alignment.sequences import (
    Reading,
    Survey,
    chosen_rows,
    masked_mean,
    read_answers,
    survey_answers,
    used_columns,
)
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
        found = self.rounds.reward(rollout)
        groups = group_advantages(
            found.rewards - config.unfinished * (~rollout.has_ended).float(),
            is_scored=found.is_scored,
            answers=config.answers,
            divisor=config.advantages,
        )
        passes = self.rounds.passes(state, factor)
        if self._reads_once(groups):
            survey = self._learn_as_read(state, found, groups=groups, passes=passes)
        else:
            with torch.no_grad():
                survey = survey_answers(rollout.writer, found.rows)
            self._learn(state, found.scored(survey), groups=groups, passes=passes)
        metrics = {
            **rollout_metrics(found.scored(survey)),
            "groups_with_advantage": groups.share,
        }
        return passes.taken(found.rows, metrics=metrics)

    def _reads_once(self, groups: "Groups") -> bool:
        """Whether all answers are learned from together and once: what the policy says of them
        before it learns is then what it says when it does."""
        is_one_part = self.config.passes == 1 and len(groups.advantages) <= self.config.minibatch
        return is_one_part and bool(groups.says_something.all())

    def _learn_as_read(
        self, state: TrainingState, found: Rewarded, *, groups: "Groups", passes: Passes
    ) -> Survey:
        survey = survey_answers(state.model, found.rows)
        now, vectors = survey.reading.logprobs, survey.reading.vectors
        before = _Old(
            logprobs=now.detach(),
            reference=found.reference,
            advantages=groups.advantages.to(now.device),
        )
        self._step(now, before=before, mask=found.rows.loss_mask, passes=passes)
        return Survey(
            reading=Reading(logprobs=before.logprobs, vectors=vectors.detach()),
            entropies=survey.entropies,
        )

    def _learn(
        self, state: TrainingState, found: Scored, *, groups: "Groups", passes: Passes
    ) -> None:
        config, rows = self.config, found.rows
        device = rows.tokens.device
        old = _Old(
            logprobs=found.policy.logprobs,
            reference=found.reference,
            advantages=groups.advantages.to(device),
        )
        learned = groups.says_something.nonzero().squeeze(-1).to(device)
        if not len(learned):
            return
        for part in self.rounds.batches(
            learned, step=state.step, passes=config.passes, size=config.minibatch
        ):
            batch = chosen_rows(rows, part)
            now = read_answers(state.model, batch).logprobs
            self._step(now, before=old.rows(rows, part), mask=batch.loss_mask, passes=passes)
            if passes.must_end:
                return

    def _step(
        self,
        now: Float[Tensor, "B T"],
        *,
        before: "_Old",
        mask: Bool[Tensor, "B T"],
        passes: Passes,
    ) -> None:
        policy = clipped_policy_loss(
            now,
            before.logprobs,
            before.advantages[:, None].expand_as(now),
            mask=mask,
            clip=self.config.clip,
        )
        away = reference_kl(now, before.reference, mask=mask)
        passes.step(
            policy.loss + self.config.kl_weight * away,
            step_kl=policy.kl,
            clip_fraction=policy.clipped,
            token_kl=away.detach(),
        )


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
