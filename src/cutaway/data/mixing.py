"""How many rows each source has given by a step: whole numbers, without keeping any state."""

from collections.abc import Sequence
from math import isfinite

import numpy as np
from jaxtyping import Int64

from cutaway.errors import ConfigError

NUM_STAGES = 64
"""A change of shares is made in this many even stages."""
_ONE = 1 << 32


class Mixing:
    """Splits the rows of a step among sources, in proportion to their shares.

    Of all n rows taken so far in a stage, the first source has given floor(n p), of the r rows left
    the second has given floor(r q), and so on, q being its share of what is left. These
    counts never fall when n grows, they add up to n, and they stay within one row per source of the
    exact proportion: the error of one step is made good in the next.
    """

    def __init__(
        self,
        *,
        shares: Sequence[float],
        final_shares: Sequence[float],
        rows: int,
        change_steps: int = 0,
    ) -> None:
        """Fixes the shares, which move evenly to `final_shares` by step `change_steps`."""
        if not shares:
            raise ConfigError("there are no sources to learn from\nGive at least one.")
        changes = change_steps > 0 and list(shares) != list(final_shares)
        stages = min(NUM_STAGES, change_steps) if changes else 0
        self._rows = rows
        self._starts = [change_steps * stage // stages for stage in range(stages)]
        self._starts.append(change_steps if changes else 0)
        self._weights = []
        for stage in range(stages):
            # The middle of the stage stands for all of it.
            done = (stage + 0.5) / stages
            self._weights.append(
                _weights_of_the_rest(
                    [a + (b - a) * done for a, b in zip(shares, final_shares, strict=True)]
                )
            )
        self._weights.append(_weights_of_the_rest(final_shares))
        self._taken_before = [[0] * len(shares)]
        for stage in range(stages):
            steps = self._starts[stage + 1] - self._starts[stage]
            taken = _split(steps * rows, self._weights[stage])
            self._taken_before.append(
                [a + b for a, b in zip(self._taken_before[-1], taken, strict=True)]
            )

    def taken(self, step: int) -> list[int]:
        """Counts the rows that each source has given before step `step`."""
        stage = len(self._starts) - 1
        while self._starts[stage] > step:
            stage -= 1
        taken = _split((step - self._starts[stage]) * self._rows, self._weights[stage])
        return [a + b for a, b in zip(self._taken_before[stage], taken, strict=True)]

    def numbers(self, step: int, *, rank: int, world: int) -> list[Int64[np.ndarray, " rows"]]:
        """Numbers, for each source, the rows of step `step` that process `rank` of `world` takes.

        Row i of a step goes to process i modulo `world`.
        """
        found, begin = [], 0
        for first, end in zip(self.taken(step), self.taken(step + 1), strict=True):
            # The rows of this source are begin, begin + 1, ... of the step.
            skipped = (rank - begin) % world
            found.append(np.arange(first + skipped, end, world, dtype=np.int64))
            begin += end - first
        return found


def _weights_of_the_rest(shares: Sequence[float]) -> list[int]:
    """Gives each share as a part of itself and all later ones, in units of 2**-32."""
    if not all(isfinite(share) and share >= 0 for share in shares) or sum(shares) <= 0:
        raise ConfigError(
            f"the shares {', '.join(map(str, shares))} cannot be mixed\n"
            "Give numbers from 0 upward, and at least one above 0."
        )
    weights = []
    for place, share in enumerate(shares):
        # A sum that has the share itself as its only part gives exactly one.
        rest = sum(shares[place:])
        weights.append(round(_ONE * share / rest) if rest > 0 else 0)
    return weights


def _split(rows: int, weights: Sequence[int]) -> list[int]:
    counts = []
    for weight in weights:
        counts.append(rows * weight >> 32)
        rows -= counts[-1]
    return counts
