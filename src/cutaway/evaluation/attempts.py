"""pass@k: how often at least one of k drawn answers is right (Chen et al. 2021, equation 1).

Where pass@8 is far above pass@1, the model can do more than it mostly does, and trying teaches it.
"""

from dataclasses import dataclass
from math import comb

from cutaway.evaluation.intervals import Interval, bootstrap_mean


@dataclass(frozen=True, kw_only=True)
class Attempts:
    """How often each question was answered right, of equally many tries."""

    tries: int
    """Answers drawn to each question."""
    right: tuple[int, ...]
    """Right ones among them, for each question."""

    def pass_at(self, k: int) -> Interval:
        """Returns the chance that one of `k` answers is right, over the questions."""
        return bootstrap_mean([pass_at(k, right=right, tries=self.tries) for right in self.right])


def pass_at(k: int, *, right: int, tries: int) -> float:
    """Returns the chance that of `k` answers, drawn from `tries`, one is among the right ones."""
    if not 1 <= k <= tries:
        raise ValueError(f"pass@{k} of {tries} tries; k is 1 to the number of tries")
    return 1.0 - comb(tries - right, k) / comb(tries, k)
