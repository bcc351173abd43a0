"""What the methods that draw their own answers share: a round of answers, scored and read again.

A round is a pure function of the run's seed, the step and the weights, so one that was cut short is
drawn again as it was.
"""

from collections.abc import Iterator
from typing import cast

import torch
from jaxtyping import Int
from torch import Tensor, nn

from cutaway.alignment.passes import Passes
from cutaway.alignment.remembering import Remembering
from cutaway.alignment.rewards import Scorer
from cutaway.alignment.rollout import (
    PromptPool,
    Rewarded,
    Roller,
    Rollout,
    Scored,
    rewarded,
    row_seeds,
    scored,
)
from cutaway.data.order import derived_seed
from cutaway.inference.fast import Following
from cutaway.models.decoder import Decoder
from cutaway.training.state import TrainingState


class Rounds:
    """Asks the policy, scores what it says, and hands the answers out in small batches."""

    def __init__(
        self,
        roller: Roller,
        *,
        reference: nn.Module,
        pool: PromptPool,
        scorer: Scorer,
        seed: int,
        clip_norm: float | None = 1.0,
        remembering: Remembering | None = None,
    ) -> None:
        self.roller, self.reference = roller, reference
        self._reader = cast(nn.Module, Following(cast(Decoder, reference)).now())
        self._pool, self._scorer, self._seed = pool, scorer, seed
        self._clip_norm, self._remembering = clip_norm, remembering

    def roll_out(self, step: int, *, prompts: int, answers: int = 1) -> Rollout:
        """Draws a step's answers; those to one prompt follow each other."""
        due = self._pool.at(step, count=prompts)
        asked = [prompt for prompt in due for _ in range(answers)]
        return self.roller.roll_out(asked, seeds=row_seeds(self._seed, step, count=len(asked)))

    def reward(self, rollout: Rollout) -> Rewarded:
        """Asks for the rewards, and reads the answers with the reference."""
        return rewarded(rollout, reference=self._reader, scorer=self._scorer)

    def score(self, rollout: Rollout) -> Scored:
        """Asks for the rewards, and reads the answers with policy and reference."""
        return scored(rollout, policy=rollout.writer, reference=self._reader, scorer=self._scorer)

    def batches(
        self, rows: Int[Tensor, " N"], *, step: int, passes: int, size: int
    ) -> Iterator[Int[Tensor, " M"]]:
        """Yields the rows in small batches, in another order at each pass."""
        order = torch.Generator().manual_seed(derived_seed(self._seed, "order", str(step)))
        for _ in range(passes):
            yield from torch.split(rows[torch.randperm(len(rows), generator=order)], size)

    def passes(self, state: TrainingState, factor: float) -> Passes:
        """What makes the optimizer's steps of one step of the run."""
        return Passes(
            state, factor=factor, clip_norm=self._clip_norm, remembering=self._remembering
        )
