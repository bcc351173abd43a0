"""Bytes predicted from the few before them, by Kneser-Ney (Chen and Goodman 1999, section 3).

A sequence of up to eight bytes is one 64-bit number, so that counting is sorting and reading is a
binary search: four megabytes are counted in a second.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.uint64]

NUM_BYTES = 256


@dataclass(frozen=True, kw_only=True)
class _Level:
    """What is known about sequences of one length."""

    order: int
    grams: Numbers
    """Sequences seen, ascending; the last byte is the one predicted."""
    counted: npt.NDArray[np.float64]
    """Count of each sequence, less its discount."""
    contexts: Numbers
    """All but the last byte of the sequences, ascending, each once."""
    totals: npt.NDArray[np.float64]
    """Count of each context."""
    kept_back: npt.NDArray[np.float64]
    """Sum of the discounts of each context, given to the shorter sequences."""


class BytePredictor:
    """A byte n-gram model with modified Kneser-Ney smoothing, three discounts a length.

    The longest sequences are counted as they occur; shorter ones by the number of different bytes
    that stand before them, because they are asked only where the longer one is unknown.
    """

    def __init__(self, training: bytes, *, order: int) -> None:
        if not 1 <= order <= 8:
            raise ValueError(f"an order of {order} was asked for; 1 to 8 bytes fit a number")
        self.order = order
        levels = []
        grams, counts = np.unique(_sequences(training, order), return_counts=True)
        for length in range(order, 0, -1):
            levels.append(_level(grams, counts, order=length))
            # Each distinct sequence counts once for the shorter one at its end.
            without_first = np.uint64((1 << (8 * (length - 1))) - 1)
            grams, counts = np.unique(grams & without_first, return_counts=True)
        self._levels = levels[::-1]

    def probabilities(self, text: bytes) -> npt.NDArray[np.float64]:
        """Returns the probability of each byte, given those before it."""
        chances = np.full(len(text), 1 / NUM_BYTES)
        for level in self._levels:
            asked = _sequences(text, level.order)
            gram, is_known = _find(level.grams, asked)
            context, has_context = _find(level.contexts, asked >> np.uint64(8))
            here = np.where(is_known, level.counted[gram], 0.0)
            mixed = (here + level.kept_back[context] * chances) / level.totals[context]
            chances = np.where(has_context, mixed, chances)
        return chances

    def bits_per_byte(self, text: bytes) -> float:
        """Returns the mean of -log2 p."""
        return float(-np.log2(self.probabilities(text)).mean())


def _level(grams: Numbers, counts: npt.NDArray[np.int64], *, order: int) -> _Level:
    discount = _discounts(counts)[np.minimum(counts, 3)]
    contexts, starts = np.unique(grams >> np.uint64(8), return_index=True)
    return _Level(
        order=order,
        grams=grams,
        counted=counts - discount,
        contexts=contexts,
        totals=np.add.reduceat(counts, starts).astype(np.float64),
        kept_back=np.add.reduceat(discount, starts),
    )


def _discounts(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Returns what is taken from counts of 0, 1, 2 and more (Chen and Goodman 1999, equation 26).

    A tiny text lacks some of the counts of counts. Bounds keep each discount above 0, so that
    something is kept back for what was never seen, and below its count.
    """
    once, twice, thrice, four = (int((counts == times).sum()) for times in (1, 2, 3, 4))
    rate = once / max(1, once + 2 * twice)
    raw = [
        1 - 2 * rate * twice / max(1, once),
        2 - 3 * rate * thrice / max(1, twice),
        3 - 4 * rate * four / max(1, thrice),
    ]
    return np.array([0.0, *(min(max(0.1, one), n - 0.1) for n, one in enumerate(raw, start=1))])


def _sequences(text: bytes, order: int) -> Numbers:
    """Returns the number of the `order` bytes that end at each byte; zeros precede the text."""
    padded = np.frombuffer(bytes(order - 1) + text, dtype=np.uint8)
    numbers = np.zeros(len(text), dtype=np.uint64)
    for place in range(order):
        numbers = (numbers << np.uint64(8)) | padded[place : place + len(text)].astype(np.uint64)
    return numbers


def _find(table: Numbers, asked: Numbers) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.bool_]]:
    """Returns where each number stands in the table, and whether it does."""
    places = np.minimum(np.searchsorted(table, asked), len(table) - 1)
    return places, table[places] == asked
