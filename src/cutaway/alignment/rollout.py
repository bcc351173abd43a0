"""Answers drawn from the policy in batches, read again by policy and reference (Ouyang 2022, 3.5).

Prompts and seeds are a pure function of the run's seed and the step, so a step that was cut short
is drawn again as it was.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from cutaway.alignment.rewards import Exchange, Prompt, Scorer
from cutaway.alignment.sequences import (
    Reading,
    Survey,
    Written,
    read_answers,
    rows_of,
    survey_answers,
)
from cutaway.data.batches import TokenBatch
from cutaway.data.order import derived_seed, shuffled_places
from cutaway.errors import DataError
from cutaway.inference.engine import Engine
from cutaway.inference.fast import Following
from cutaway.inference.sampling import Greedy, Sampler, Temperature
from cutaway.models.decoder import Decoder
from cutaway.text.conversations import Conversation
from cutaway.tokenizer.base import Tokenizer
from cutaway.tokenizer.chat import ChatFormat


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """Answers with what was asked, in the order of the prompts."""

    exchanges: tuple[Exchange, ...]
    """As text."""
    written: tuple[Written, ...]
    """As ids."""
    has_ended: Bool[Tensor, " B"]
    """Whether the answer came to its end before its room did."""
    writer: nn.Module
    """What wrote them: the policy as it was, in its fast form where it has one."""

    @property
    def lengths(self) -> Float[Tensor, " B"]:
        """Tokens of each answer."""
        return torch.tensor([float(len(one.answer)) for one in self.written])


@dataclass(frozen=True, kw_only=True)
class Rewarded:
    """Answers with what others say about them: the scorer, and the reference."""

    rollout: Rollout
    rows: TokenBatch
    """The answers as rows; an answer without a reward has nothing in its mask."""
    rewards: Float[Tensor, " B"]
    """One for each answer; 0 where there is none."""
    is_scored: Bool[Tensor, " B"]
    """Whether there is one."""
    reference: Float[Tensor, "B T"]
    """Log-probabilities by the frozen reference."""

    def scored(self, survey: Survey) -> "Scored":
        """Adds what the policy says."""
        return Scored(
            rollout=self.rollout,
            rows=self.rows,
            rewards=self.rewards,
            is_scored=self.is_scored,
            reference=self.reference,
            policy=survey.reading,
            entropies=survey.entropies,
        )


@dataclass(frozen=True, kw_only=True)
class Scored:
    """Answers with all that a step needs to learn from them."""

    rollout: Rollout
    rows: TokenBatch
    """The answers as rows; an answer without a reward has nothing in its mask."""
    rewards: Float[Tensor, " B"]
    """One for each answer; 0 where there is none."""
    is_scored: Bool[Tensor, " B"]
    """Whether there is one."""
    policy: Reading
    """What the policy says about the answers, before it learns from them."""
    entropies: Float[Tensor, "B T"]
    """How open each of its choices was, in nats."""
    reference: Float[Tensor, "B T"]
    """Log-probabilities by the frozen reference."""

    @property
    def kl(self) -> Float[Tensor, ""]:
        """Mean over the answers of log(policy / reference): the divergence, in nats an answer."""
        ratios = (self.policy.logprobs - self.reference).sum(dim=1)
        return ratios.sum() / self.is_scored.sum().clamp(min=1)


class PromptPool:
    """Prompts in a shuffled order that needs no memory."""

    def __init__(self, prompts: Sequence[Prompt], *, seed: int) -> None:
        if not prompts:
            raise DataError("there are no prompts to answer; give skills= or prompts=")
        self.prompts = tuple(prompts)
        self._seed = derived_seed(seed, "prompts")

    def at(self, step: int, *, count: int) -> list[Prompt]:
        """Returns the prompts of a step; all are used once before one comes again."""
        places = shuffled_places(step, count=count, size=len(self.prompts), seed=self._seed)
        return [self.prompts[place] for place in places]


class Roller:
    """Asks a model for answers, many at once."""

    def __init__(self, model: nn.Module, tokenizer: Tokenizer, *, max_tokens: int) -> None:
        """`max_tokens` bounds an answer; the rest of the context is for the prompt."""
        self.model, self.tokenizer, self.max_tokens = model, tokenizer, max_tokens
        self.chat = ChatFormat(tokenizer)
        self.stop_ids = self.chat.stop_ids
        """What ends an answer."""
        decoder = cast(Decoder, model)
        self._fast = Following(decoder)
        self._longest = decoder.config.context_length - max_tokens

    @property
    def longest_written(self) -> int:
        """The most tokens of a prompt with its answer."""
        return self._longest + self.max_tokens

    def fits(self, prompt: Prompt) -> bool:
        """Whether a prompt leaves room for an answer."""
        return len(self.chat.prompt(Conversation(messages=prompt))) <= self._longest

    def ids(self, prompt: Prompt) -> tuple[int, ...]:
        """Returns the ids that ask for an answer.

        Raises:
            DataError: they leave no room for one.
        """
        ids = self.chat.prompt(Conversation(messages=prompt))
        if len(ids) > self._longest:
            raise DataError(
                f"a prompt has {len(ids)} tokens; with {self.max_tokens} for the answer the model "
                f"can read {max(0, self._longest)}\nleave long prompts out, or give a smaller "
                "max_tokens="
            )
        return tuple(ids)

    def roll_out(
        self, prompts: Sequence[Prompt], *, seeds: Sequence[int], sampler: Sampler | None = None
    ) -> Rollout:
        """Draws an answer to each prompt from the policy's own distribution, unless told else."""
        asked = [self.ids(prompt) for prompt in prompts]
        writer = self._fast.now()
        completions = Engine(writer, self.tokenizer).generate(
            asked,
            sampler=sampler or Temperature(1.0),
            max_tokens=self.max_tokens,
            seeds=seeds,
            stop_ids=self.stop_ids,
        )
        return Rollout(
            exchanges=tuple(
                Exchange(prompt=prompt, answer=self.tokenizer.decode(completion.text_ids))
                for prompt, completion in zip(prompts, completions, strict=True)
            ),
            written=tuple(
                Written(prompt=ids, answer=tuple(completion.ids))
                for ids, completion in zip(asked, completions, strict=True)
            ),
            has_ended=torch.tensor([each.finish_reason == "stop" for each in completions]),
            writer=cast(nn.Module, writer),
        )

    def answers(self, prompts: Sequence[Prompt]) -> list[str]:
        """Returns the most probable answer to each prompt."""
        found = self.roll_out(prompts, seeds=range(len(prompts)), sampler=Greedy())
        return [exchange.answer for exchange in found.exchanges]


def row_seeds(seed: int, step: int, *, count: int) -> list[int]:
    """Returns the seed of each answer of a step."""
    return [derived_seed(seed, "rollout", str(step), str(row)) for row in range(count)]


def rewarded(rollout: Rollout, *, reference: nn.Module, scorer: Scorer) -> Rewarded:
    """Scores answers, and reads them with the reference."""
    scores = scorer.score(rollout.exchanges)
    is_scored = torch.tensor(scores.is_scored)
    rows = rows_of(rollout.written)
    rows = TokenBatch(
        tokens=rows.tokens,
        targets=rows.targets,
        loss_mask=rows.loss_mask & is_scored[:, None],
        documents=rows.documents,
    ).to(next(reference.parameters()).device)
    with torch.no_grad():
        logprobs = read_answers(reference, rows).logprobs
    return Rewarded(
        rollout=rollout,
        rows=rows,
        rewards=torch.tensor(scores.values),
        is_scored=is_scored,
        reference=logprobs,
    )


def scored(rollout: Rollout, *, policy: nn.Module, reference: nn.Module, scorer: Scorer) -> Scored:
    """Scores answers and reads them again: the engine's numbers are of another order of sums."""
    found = rewarded(rollout, reference=reference, scorer=scorer)
    with torch.no_grad():
        return found.scored(survey_answers(policy, found.rows))
