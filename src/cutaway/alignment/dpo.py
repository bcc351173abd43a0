"""DPO: the wish of the judgements without a reward model and without drawing answers (Rafailov et
al. 2023), with its relatives as objectives of their own.

Every objective sees log(policy / reference) of the chosen and of the rejected answer.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from cutaway.alignment.choices import DPOConfig
from cutaway.alignment.passes import Passes
from cutaway.alignment.remembering import Remembering
from cutaway.alignment.rewards import Prompt, Scorer
from cutaway.alignment.rollout import Roller, row_seeds
from cutaway.alignment.sequences import Written, logprob_sums, rows_of, survey_answers
from cutaway.data.order import derived_seed, shuffled_places
from cutaway.errors import DataError
from cutaway.training.loop import Taken
from cutaway.training.state import TrainingState

AT_ONCE = 64
"""Prompts that are answered together."""


@dataclass(frozen=True, kw_only=True)
class WrittenPair:
    """Two answers to a prompt, as ids."""

    chosen: Written
    """The better one."""
    rejected: Written
    """The other."""


class PairObjective(ABC):
    """How wrong the policy is about pairs."""

    @abstractmethod
    def losses(
        self, chosen: Float[Tensor, " P"], rejected: Float[Tensor, " P"]
    ) -> Float[Tensor, " P"]:
        """Returns the loss of each pair from both answers' log(policy / reference)."""


@final
@dataclass(frozen=True)
class LikelyPairs(PairObjective):
    """The likelihood of the judgements under Bradley-Terry (Rafailov et al. 2023, equation 7).

    Where a share of them is wrong, no pair is learned to be certain (Mitchell 2023, equation 3).
    """

    beta: float
    flipped: float = 0.0

    def losses(
        self, chosen: Float[Tensor, " P"], rejected: Float[Tensor, " P"]
    ) -> Float[Tensor, " P"]:
        margin = self.beta * (chosen - rejected)
        return -(1 - self.flipped) * logsigmoid(margin) - self.flipped * logsigmoid(-margin)


@final
@dataclass(frozen=True)
class RobustPairs(PairObjective):
    """The same, corrected so that its mean is that of the judgements without the flips
    (Chowdhury et al. 2024, equation 12)."""

    beta: float
    flipped: float

    def losses(
        self, chosen: Float[Tensor, " P"], rejected: Float[Tensor, " P"]
    ) -> Float[Tensor, " P"]:
        margin = self.beta * (chosen - rejected)
        plain = -(1 - self.flipped) * logsigmoid(margin) + self.flipped * logsigmoid(-margin)
        return plain / (1 - 2 * self.flipped)


@final
@dataclass(frozen=True)
class SquaredPairs(PairObjective):
    """IPO: the margin is to be 1 / (2 beta), neither more nor less (Azar et al. 2023, eq. 17)."""

    beta: float

    def losses(
        self, chosen: Float[Tensor, " P"], rejected: Float[Tensor, " P"]
    ) -> Float[Tensor, " P"]:
        return (chosen - rejected - 1 / (2 * self.beta)).square()


@final
@dataclass(frozen=True)
class HingePairs(PairObjective):
    """SLiC's hinge: a margin of 1 / beta is enough (Zhao et al. 2023, equation 1)."""

    beta: float

    def losses(
        self, chosen: Float[Tensor, " P"], rejected: Float[Tensor, " P"]
    ) -> Float[Tensor, " P"]:
        return (1 - self.beta * (chosen - rejected)).clamp(min=0)


@final
@dataclass(frozen=True)
class AnchoredPairs(PairObjective):
    """APO-zero: the chosen answer is to become likelier and the rejected less likely, each by
    itself, so that both cannot sink together (D'Oosterlinck et al. 2024, equation 7)."""

    beta: float

    def losses(
        self, chosen: Float[Tensor, " P"], rejected: Float[Tensor, " P"]
    ) -> Float[Tensor, " P"]:
        return 1 - torch.sigmoid(self.beta * chosen) + torch.sigmoid(self.beta * rejected)


def objective_of(config: DPOConfig) -> PairObjective:
    """Makes the objective that a config names."""
    match config.objective:
        case "sigmoid":
            return LikelyPairs(config.beta)
        case "conservative":
            return LikelyPairs(config.beta, config.flipped)
        case "robust":
            return RobustPairs(config.beta, config.flipped)
        case "ipo":
            return SquaredPairs(config.beta)
        case "hinge":
            return HingePairs(config.beta)
        case "anchored":
            return AnchoredPairs(config.beta)


class DPO:
    """Steps on pairs in a shuffled order; the reference has read them all beforehand."""

    def __init__(
        self,
        config: DPOConfig,
        *,
        pairs: Sequence[WrittenPair],
        reference: nn.Module,
        seed: int,
        clip_norm: float | None = 1.0,
        remembering: Remembering | None = None,
    ) -> None:
        if not pairs:
            raise DataError(
                "there are no pairs to learn from: no judgement calls one answer better"
            )
        self.config, self.objective = config, objective_of(config)
        self.pairs = tuple(pairs)
        self._seed, self._clip_norm = derived_seed(seed, "pairs"), clip_norm
        self._remembering = remembering
        self._chosen = logprob_sums(reference, [pair.chosen for pair in pairs])
        self._rejected = logprob_sums(reference, [pair.rejected for pair in pairs])

    def take(self, state: TrainingState, factor: float) -> Taken:
        """Makes one step on the pairs that are due."""
        places = shuffled_places(
            state.step, count=self.config.pairs, size=len(self.pairs), seed=self._seed
        )
        due = [self.pairs[place] for place in places]
        answers = [pair.chosen for pair in due] + [pair.rejected for pair in due]
        rows = rows_of(answers).to(next(state.model.parameters()).device)
        survey = survey_answers(state.model, rows)
        now = survey.reading
        before = torch.cat([self._chosen[places], self._rejected[places]])
        ratios = now.logprobs.sum(dim=1) - before.to(now.logprobs.device)
        chosen, rejected = ratios.chunk(2)
        loss = self.objective.losses(chosen, rejected).mean()
        if self.config.likelihood:
            said, mask = now.logprobs.chunk(2)[0], rows.loss_mask.chunk(2)[0]
            loss = loss - self.config.likelihood * said.sum() / mask.sum()
        passes = Passes(
            state, factor=factor, clip_norm=self._clip_norm, remembering=self._remembering
        )
        margin = (chosen - rejected).detach()
        passes.step(
            loss,
            accuracy=(margin > 0).float().mean(),
            margin=self.config.beta * margin.mean(),
            chosen_ratio=chosen.detach().mean(),
            rejected_ratio=rejected.detach().mean(),
        )
        lengths = rows.loss_mask.sum(dim=1).float().mean()
        entropy = (survey.entropies.sum() / rows.loss_mask.sum()).detach()
        return passes.taken(rows, metrics={"length": float(lengths), "entropy": float(entropy)})


def pair_accuracy(
    policy: nn.Module, reference: nn.Module, pairs: Sequence[WrittenPair]
) -> tuple[int, int]:
    """Counts the pairs whose chosen answer gained more, ties by half; and all pairs."""
    gains = [
        logprob_sums(policy, answers) - logprob_sums(reference, answers)
        for answers in ([pair.chosen for pair in pairs], [pair.rejected for pair in pairs])
    ]
    ties = int((gains[0] == gains[1]).sum())
    return int((gains[0] > gains[1]).sum()) + ties // 2, len(pairs)


def drawn_pairs(
    roller: Roller, prompts: Sequence[Prompt], *, answers: int, scorer: Scorer, seed: int
) -> list[WrittenPair]:
    """Draws answers to each prompt; the best and the worst make a pair, where they differ."""
    pairs: list[WrittenPair] = []
    for start in range(0, len(prompts), AT_ONCE):
        some = [prompt for prompt in prompts[start : start + AT_ONCE] for _ in range(answers)]
        rollout = roller.roll_out(some, seeds=row_seeds(seed, start, count=len(some)))
        scores = scorer.score(rollout.exchanges)
        for first in range(0, len(some), answers):
            group = [row for row in range(first, first + answers) if scores.is_scored[row]]
            if group:
                best = max(group, key=lambda row: scores.values[row])
                worst = min(group, key=lambda row: scores.values[row])
                if scores.values[best] > scores.values[worst]:
                    written = rollout.written
                    pairs.append(WrittenPair(chosen=written[best], rejected=written[worst]))
    return pairs
