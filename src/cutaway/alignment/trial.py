"""Two models answer the same held-out prompts; the reward says whose answer is better."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from cutaway.alignment.rewards import Prompt, Scorer
from cutaway.alignment.rollout import Roller, row_seeds
from cutaway.alignment.sequences import logprob_sums


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What came of it, an entry for each prompt."""

    before: tuple[float, ...]
    """Reward of the earlier model's answer."""
    after: tuple[float, ...]
    """Reward of the later model's answer."""
    kl: tuple[float, ...]
    """log(later / earlier) of the later model's answer, in nats; the mean is their divergence."""
    lengths: tuple[float, float]
    """Mean tokens of an answer, before and after."""

    @property
    def wins(self) -> int:
        """Prompts where the later answer is better."""
        return sum(after > before for before, after in zip(self.before, self.after, strict=True))

    @property
    def ties(self) -> int:
        """Prompts where both are worth the same."""
        return sum(after == before for before, after in zip(self.before, self.after, strict=True))


def compare(
    later: Roller, earlier: Roller, *, prompts: Sequence[Prompt], scorer: Scorer, seed: int
) -> Trial:
    """Lets both draw an answer to each prompt; what cannot be scored is left out."""
    seeds = row_seeds(seed, 0, count=len(prompts))
    new = later.roll_out(prompts, seeds=seeds)
    old = earlier.roll_out(prompts, seeds=seeds)
    after, before = scorer.score(new.exchanges), scorer.score(old.exchanges)
    ratios = logprob_sums(later.model, new.written) - logprob_sums(earlier.model, new.written)
    known = [
        place for place in range(len(prompts)) if after.is_scored[place] and before.is_scored[place]
    ]
    return Trial(
        before=tuple(before.values[place] for place in known),
        after=tuple(after.values[place] for place in known),
        kl=tuple(ratios[torch.tensor(known, dtype=torch.int64)].tolist()),
        lengths=(float(old.lengths.mean()), float(new.lengths.mean())),
    )
