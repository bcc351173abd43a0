"""How sure a figure is: Wilson's interval for shares, the bootstrap for rates (Efron 1979)."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

CONFIDENCE = 0.95
RESAMPLES = 2000


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A measured value and the bounds between which the true one lies with 95 % confidence.

    All three are NaN where a model has lost its numbers.
    """

    value: float
    """What was measured."""

    low: float
    """Lower bound, at most `value`."""

    high: float
    """Upper bound, at least `value`."""

    def __post_init__(self) -> None:
        is_nothing = math.isnan(self.low) and math.isnan(self.value) and math.isnan(self.high)
        if not self.low <= self.value <= self.high and not is_nothing:
            raise ValueError(f"interval {self.low} to {self.high} does not hold {self.value}")

    def through(self, rising: Callable[[float], float]) -> "Interval":
        """Returns the same interval in another unit, by a function that never falls."""
        return Interval(value=rising(self.value), low=rising(self.low), high=rising(self.high))


def wilson(successes: int, trials: int, *, confidence: float = CONFIDENCE) -> Interval:
    """Returns the share of successes with Wilson's score interval (Wilson 1927, equation 4).

    Unlike the normal approximation it stays inside 0 to 1 and is not empty at 0 or at `trials`
    successes.
    """
    if not 0 <= successes <= trials or trials == 0:
        raise ValueError(f"{successes} successes of {trials} trials; at least one trial is needed")
    share = successes / trials
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    shrink = 1 + z * z / trials
    centre = (share + z * z / (2 * trials)) / shrink
    spread = z / shrink * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    # Rounding may put a bound at 0 or 1 a hair inside the share itself.
    low, high = max(0.0, centre - spread), min(1.0, centre + spread)
    return Interval(value=share, low=min(low, share), high=max(high, share))


def bootstrap_rate(
    amounts: Sequence[float] | npt.NDArray[np.float64],
    sizes: Sequence[float] | npt.NDArray[np.float64],
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
) -> Interval:
    """Returns the sum of amounts over the sum of sizes with a percentile bootstrap over the items.

    Bits per byte are this with one amount (bits) and one size (bytes) a document; a phoneme error
    rate with edits and lengths. One item says nothing about spread, so its interval is the value
    alone.
    """
    top, bottom = np.asarray(amounts, dtype=np.float64), np.asarray(sizes, dtype=np.float64)
    if top.shape != bottom.shape or top.ndim != 1 or top.size == 0 or bottom.sum() <= 0:
        raise ValueError(
            f"{top.size} amounts, {bottom.size} sizes; one each and a positive sum are needed"
        )
    value = float(top.sum() / bottom.sum())
    if not math.isfinite(value):
        return Interval(value=value, low=value, high=value)
    generator = np.random.default_rng(seed)
    rates = [_resampled(top, bottom, generator=generator) for _ in range(resamples)]
    tail = (1 - confidence) / 2
    low, high = (float(bound) for bound in np.nanquantile(rates, [tail, 1 - tail]))
    return Interval(value=value, low=min(low, value), high=max(high, value))


def bootstrap_mean(
    values: Sequence[float] | npt.NDArray[np.float64],
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
) -> Interval:
    """Returns the mean of `values` with a percentile bootstrap over them."""
    sizes = np.ones(len(values))
    return bootstrap_rate(values, sizes, seed=seed, resamples=resamples, confidence=confidence)


def _resampled(
    top: npt.NDArray[np.float64],
    bottom: npt.NDArray[np.float64],
    *,
    generator: np.random.Generator,
) -> float:
    drawn = generator.integers(0, top.size, size=top.size)
    size = float(bottom[drawn].sum())
    # A draw of empty items alone has no rate; it is left out of the quantiles.
    return float(top[drawn].sum()) / size if size > 0 else math.nan
