"""Step to learning-rate factor, between 0 and 1: warm-up, then cosine or trapezoid."""

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@runtime_checkable
class Schedule(Protocol):
    """Says by what the learning rate of step `step` of `steps` is multiplied."""

    def factor(self, step: int, steps: int) -> float:
        """Returns the factor; steps count from 0."""


@dataclass(frozen=True, kw_only=True)
class Cosine:
    """Rises for `warmup` of the run, then falls on half a cosine to `floor` (Loshchilov 2017)."""

    warmup: float = 0.02
    """Share of the steps in which the rate rises, 0 to 1."""
    floor: float = 0.1
    """Factor at the end, 0 to 1."""

    def factor(self, step: int, steps: int) -> float:
        """Returns the factor; steps count from 0."""
        rise = max(1, round(self.warmup * steps))
        if step < rise:
            return (step + 1) / rise
        progress = min(1.0, (step - rise) / max(1, steps - rise))
        return self.floor + (1 - self.floor) * 0.5 * (1 + math.cos(math.pi * progress))


@dataclass(frozen=True, kw_only=True)
class Trapezoid:
    """Rises, stays at 1, then falls on a straight line to `floor` (Hagele et al. 2024, 3)."""

    warmup: float = 0.02
    """Share of the steps in which the rate rises, 0 to 1."""
    cooldown: float = 0.5
    """Share of the steps, at the end, in which the rate falls, 0 to 1."""
    floor: float = 0.0
    """Factor at the end, 0 to 1."""

    def factor(self, step: int, steps: int) -> float:
        """Returns the factor; steps count from 0."""
        rise = max(1, round(self.warmup * steps))
        if step < rise:
            return (step + 1) / rise
        fall = max(1, round(self.cooldown * steps))
        left = max(0, steps - step)
        return 1.0 if left >= fall else self.floor + (1 - self.floor) * left / fall


@dataclass(frozen=True, kw_only=True)
class InverseSquareRoot:
    """Rises for `warmup_steps`, then falls with the root of the step (Vaswani 2017, eq. 3)."""

    warmup_steps: int = 4000
    """Steps in which the rate rises."""

    def factor(self, step: int, steps: int) -> float:
        """Returns the factor, 1 at its peak; steps count from 0."""
        now = step + 1
        return min(now / self.warmup_steps, math.sqrt(self.warmup_steps / now))
