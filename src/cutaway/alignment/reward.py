"""A reward model: any decoder of ours with a number on the last token, learned from judgements
(Bradley and Terry 1952; Plackett 1975 for rankings; Ouyang et al. 2022, section 3.5).
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast, final

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from cutaway.alignment.choices import RewardConfig
from cutaway.alignment.passes import Passes
from cutaway.alignment.rewards import Exchange, Failed, Reward
from cutaway.alignment.sequences import Written, read_off, written_by
from cutaway.data.batches import TokenBatch
from cutaway.data.order import derived_seed, shuffled_places
from cutaway.errors import DataError
from cutaway.models.decoder import Decoder
from cutaway.tokenizer.base import Tokenizer
from cutaway.tokenizer.chat import ChatFormat
from cutaway.training.loop import Taken
from cutaway.training.state import TrainingState

HEAD = "reward_head"
"""The stem of the head's file in a checkpoint."""


def new_head(model: nn.Module, *, width: int | None = None) -> nn.Linear:
    """Makes a head that gives every answer 0, for the vectors of a decoder."""
    if width is None:
        device = next(model.parameters()).device
        with torch.no_grad():
            probe = torch.zeros(1, 1, dtype=torch.int64, device=device)
            width = cast(Decoder, model).hidden(probe).shape[-1]
    head = nn.Linear(width, 1)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return head.to(next(model.parameters()).device)


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """Answers to one prompt as ids, the best first."""

    answers: tuple[Written, ...]
    """At least two."""


class RankingObjective(ABC):
    """How wrong scores are about rankings."""

    @abstractmethod
    def losses(
        self, scores: Float[Tensor, "N K"], *, is_there: Bool[Tensor, "N K"]
    ) -> Float[Tensor, " N"]:
        """Returns the loss of each ranking; scores stand in its order, the best first."""


@final
class BradleyTerry(RankingObjective):
    """Each answer beats each one below it with the probability sigmoid(difference); all pairs of a
    ranking count together as one (Ouyang et al. 2022, equation 1)."""

    def losses(
        self, scores: Float[Tensor, "N K"], *, is_there: Bool[Tensor, "N K"]
    ) -> Float[Tensor, " N"]:
        places = torch.arange(scores.shape[1], device=scores.device)
        counts = is_there[:, :, None] & is_there[:, None, :] & (places[:, None] < places)
        wins = -logsigmoid(scores[:, :, None] - scores[:, None, :])
        total = torch.where(counts, wins, 0.0).sum(dim=(1, 2))
        return total / counts.sum(dim=(1, 2)).clamp(min=1)


@final
class PlackettLuce(RankingObjective):
    """The best is chosen among all, the second among the rest, and so on (Plackett 1975, 2)."""

    def losses(
        self, scores: Float[Tensor, "N K"], *, is_there: Bool[Tensor, "N K"]
    ) -> Float[Tensor, " N"]:
        held = torch.where(is_there, scores, -torch.inf)
        # At each place: the chosen against all from it on.
        rest = held.flip(1).logcumsumexp(dim=1).flip(1)
        return torch.where(is_there, rest - scores, 0.0).sum(dim=1)


class RewardLearning:
    """Steps on rankings in a shuffled order."""

    def __init__(
        self,
        config: RewardConfig,
        *,
        rankings: Sequence[Ranked],
        seed: int,
        clip_norm: float | None = 1.0,
    ) -> None:
        if not rankings:
            raise DataError(
                "there are no rankings to learn from: no judgement calls one answer better"
            )
        self.config, self.rankings = config, tuple(rankings)
        self._seed, self._clip_norm = derived_seed(seed, "rankings"), clip_norm
        kinds = {"plackett-luce": PlackettLuce, "bradley-terry": BradleyTerry}
        self.objective: RankingObjective = kinds[config.objective]()

    def take(self, state: TrainingState, factor: float) -> Taken:
        """Makes one step on the rankings that are due."""
        places = shuffled_places(
            state.step, count=self.config.rankings, size=len(self.rankings), seed=self._seed
        )
        due = [self.rankings[place] for place in places]
        rows = whole_rows([answer for ranked in due for answer in ranked.answers])
        rows = rows.to(next(state.model.parameters()).device)
        flat = score_rows(state.model, cast(nn.Linear, state.companions[HEAD]), rows)
        scores, is_there = _in_order(flat, [len(ranked.answers) for ranked in due])
        losses = self.objective.losses(scores, is_there=is_there)
        mean = scores.sum(dim=1) / is_there.sum(dim=1)
        loss = losses.mean() + self.config.center * mean.square().mean()
        passes = Passes(state, factor=factor, clip_norm=self._clip_norm)
        passes.step(
            loss,
            accuracy=(scores[:, 0] > scores[:, 1]).float().mean().detach(),
            margin=(scores[:, 0] - scores[:, 1]).mean().detach(),
            reward_spread=flat.std().detach(),
        )
        return passes.taken(rows, metrics={})


def whole_rows(answers: Sequence[Written]) -> TokenBatch:
    """Returns prompts and answers as rows to be read to their last token; nothing is predicted."""
    length = max(len(one.prompt) + len(one.answer) for one in answers)
    tokens = torch.zeros(len(answers), length, dtype=torch.int64)
    documents = torch.zeros_like(tokens)
    for row, one in enumerate(answers):
        ids = torch.tensor([*one.prompt, *one.answer])
        tokens[row, : len(ids)] = ids
        documents[row, : len(ids)] = 1
    nothing = torch.zeros(tokens.shape, dtype=torch.bool)
    return TokenBatch(
        tokens=tokens, targets=torch.zeros_like(tokens), loss_mask=nothing, documents=documents
    )


def score_rows(model: nn.Module, head: nn.Linear, rows: TokenBatch) -> Float[Tensor, " B"]:
    """Returns the head's number at each row's last token, wherever the padding stands."""
    vectors = cast(Decoder, model).hidden(rows.tokens, documents=rows.documents)
    places = torch.arange(rows.documents.shape[1], device=vectors.device)
    last = torch.where(rows.documents > 0, places, -1).argmax(dim=1)
    each = torch.arange(len(last), device=vectors.device)
    return read_off(head, vectors[each, last])


@final
class ModelReward(Reward):
    """What a reward model gives an answer, read with the reward model's own tokenizer."""

    def __init__(
        self, model: nn.Module, head: nn.Linear, *, tokenizer: Tokenizer, rows: int = 64
    ) -> None:
        self._model, self._head, self._rows = model.eval(), head, rows
        self._chat = ChatFormat(tokenizer)

    def rewards(self, exchanges: Sequence[Exchange]) -> list[float | Failed]:
        longest = int(cast(Decoder, self._model).config.context_length)
        written = [written_by(self._chat, exchange) for exchange in exchanges]
        # The end of what is too long decides; its beginning is cut off.
        cut = [_cut(one, longest=longest) for one in written]
        scores = score_answers(self._model, self._head, cut, rows=self._rows)
        return [
            score if np.isfinite(score) else Failed(why="the reward model gave no finite number")
            for score in scores.tolist()
        ]


def score_answers(
    model: nn.Module, head: nn.Linear, answers: Sequence[Written], *, rows: int = 64
) -> Float[Tensor, " B"]:
    """Returns the reward of each answer, without gradients."""
    device = next(model.parameters()).device
    found = []
    with torch.no_grad():
        for start in range(0, len(answers), rows):
            part = whole_rows(answers[start : start + rows]).to(device)
            found.append(score_rows(model, head, part).cpu())
    return torch.cat(found) if found else torch.zeros(0)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """How a reward model does on pairs that it has not seen."""

    right: int
    """Pairs whose chosen answer it scores higher; a tie is wrong."""
    pairs: int
    """All of them."""
    longer_is_chosen: int
    """Pairs whose chosen answer is the longer one: what length alone would reach."""
    length_correlation: float
    """Between reward and tokens of the answer, over all answers: -1 to 1."""
    calibration: tuple[tuple[float, float, int], ...]
    """For each bin of stated certainty: its mean, the share of right pairs, and their number."""

    @property
    def calibration_error(self) -> float:
        """Mean distance of stated certainty and share of right pairs, over the pairs."""
        gaps = [abs(said - right) * count for said, right, count in self.calibration]
        return sum(gaps) / max(1, self.pairs)


def measure(
    model: nn.Module, head: nn.Linear, pairs: Sequence[tuple[Written, Written]], *, bins: int = 5
) -> Measured:
    """Scores pairs (the chosen answer first) and counts."""
    chosen = score_answers(model, head, [better for better, _ in pairs]).double()
    rejected = score_answers(model, head, [worse for _, worse in pairs]).double()
    is_right = chosen > rejected
    certainty = torch.sigmoid((chosen - rejected).abs())
    lengths = np.array([len(one.answer) for side in zip(*pairs, strict=True) for one in side])
    rewards = torch.cat([chosen, rejected]).numpy()
    return Measured(
        right=int(is_right.sum()),
        pairs=len(pairs),
        longer_is_chosen=sum(len(better.answer) > len(worse.answer) for better, worse in pairs),
        length_correlation=correlation(rewards, lengths.astype(np.float64)),
        calibration=_calibration(certainty, is_right, bins=bins),
    )


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Returns Pearson's correlation; 0 where one of both does not vary."""
    if len(one) < 2 or one.std() == 0 or other.std() == 0:
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])


def _calibration(
    certainty: Float[Tensor, " P"], is_right: Bool[Tensor, " P"], *, bins: int
) -> tuple[tuple[float, float, int], ...]:
    """Parts the pairs by stated certainty, 0.5 to 1, into bins of equal width."""
    place = ((certainty - 0.5) * 2 * bins).long().clamp(0, bins - 1)
    found = []
    for number in range(bins):
        inside = place == number
        if bool(inside.any()):
            said, right = certainty[inside].mean(), is_right[inside].double().mean()
            found.append((float(said), float(right), int(inside.sum())))
    return tuple(found)


def _in_order(
    flat: Float[Tensor, " B"], sizes: Sequence[int]
) -> tuple[Float[Tensor, "N K"], Bool[Tensor, "N K"]]:
    """Puts scores that follow each other into a row for each ranking, and says which are there."""
    counts: Int[Tensor, " N"] = torch.tensor(sizes, device=flat.device)
    is_there = torch.arange(max(sizes), device=flat.device) < counts[:, None]
    return torch.zeros(is_there.shape, device=flat.device).masked_scatter(is_there, flat), is_there


def _cut(written: Written, *, longest: int) -> Written:
    over = len(written.prompt) + len(written.answer) - longest
    if over <= 0:
        return written
    prompt = written.prompt[over:]
    return Written(prompt=prompt, answer=written.answer[max(0, over - len(written.prompt)) :])
