"""Where a number stands on an axis, which numbers an axis shows, and how they are written."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TypeAlias, final

Number: TypeAlias = int | float
Point: TypeAlias = tuple[Number, Number]

# Steps that read well, as parts of a power of ten.
ROUND_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
ROUND_VALUES = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0)


@dataclass(frozen=True, kw_only=True)
class Scale(ABC):
    """Maps numbers from `low` to `high` to pixels from `start` to `stop`."""

    low: Number
    """Smallest number that is drawn."""
    high: Number
    """Largest number that is drawn."""
    start: Number
    """Pixel of the smallest."""
    stop: Number
    """Pixel of the largest."""

    def __call__(self, value: Number) -> float:
        """Returns the pixel of a number; what lies outside is drawn at the edge."""
        return self.start + self.share(min(max(value, self.low), self.high)) * (
            self.stop - self.start
        )

    @abstractmethod
    def share(self, value: Number) -> float:
        """Returns how far along the axis a number stands, from 0 to 1."""

    @abstractmethod
    def ticks(self, count: int) -> list[Number]:
        """Returns about `count` round numbers of the axis."""


@final
class LinearScale(Scale):
    """Equal differences are equal distances."""

    def share(self, value: Number) -> float:
        return (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5

    def ticks(self, count: int) -> list[Number]:
        step = round_step((self.high - self.low) / max(1, count))
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [place * step for place in range(first, last + 1)]


@final
class LogScale(Scale):
    """Equal ratios are equal distances; all numbers are positive."""

    def share(self, value: Number) -> float:
        if self.high <= self.low:
            return 0.5
        return math.log(value / self.low) / math.log(self.high / self.low)

    def ticks(self, count: int) -> list[Number]:
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        inside = [
            value * 10.0**power
            for power in powers
            for value in ROUND_VALUES
            if self.low <= value * 10.0**power <= self.high
        ]
        if len(inside) < 2:
            return LinearScale(low=self.low, high=self.high, start=0, stop=1).ticks(count)
        every = math.ceil(len(inside) / max(1, count))
        return inside[::every]


def round_step(step: Number) -> float:
    """Returns the next larger step that reads well."""
    if step <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(step))
    return next(part * power for part in ROUND_STEPS if part * power >= step * (1 - 1e-9))


def short_number(value: Number) -> str:
    """Writes a number for an axis: 12,000 as 12k, 0.0003 as 3e-4, at most three digits else."""
    size = abs(value)
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if size >= unit * (1 - 1e-9):
            return f"{value / unit:.3g}{name}"
    if size == 0 or size >= 0.001:
        return f"{value:.3g}"
    return f"{value:.1e}".replace("e-0", "e-").replace(".0e", "e")


def thinned(points: Sequence[Point], *, most: int) -> list[Point]:
    """Returns at most `most` points, each the mean of its neighbours, and both ends as they are."""
    if len(points) <= most:
        return list(points)
    inner = points[1:-1]
    edges = [round(place * len(inner) / (most - 2)) for place in range(most - 1)]
    groups = [inner[low:high] for low, high in pairwise(edges)]
    means = [
        (sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group))
        for group in groups
    ]
    return [points[0], *means, points[-1]]


def smoothed(points: Sequence[Point], *, window: int) -> list[Point]:
    """Returns the mean of each point and those before it, never of those after it.

    The mean reaches back over up to `window` points; near the beginning, where a curve falls fast,
    over an eighth of the points so far, so that it does not lag behind.
    """
    sums = [0.0, *accumulate(y for _, y in points)]
    result = []
    for place, (x, _) in enumerate(points, start=1):
        reach = min(window, 1 + place // 8)
        result.append((x, (sums[place] - sums[place - reach]) / reach))
    return result
