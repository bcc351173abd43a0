"""What a rater judges next, derived from the store alone: no window and no server can lose it.

All raters get a fifth of the comparisons, so that their agreement can be measured; of the rest each
is judged once. A tenth of what a rater judged comes a second time, the other way round.
"""

import hashlib
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from cutaway.alignment.judgements import Comparison, Judgement
from cutaway.alignment.judges import shuffled

SHARED = 5
"""Of so many comparisons, one is for all raters."""
REPEATED = 10
"""Of so many comparisons, a rater judges one again."""
APART = 8
"""Other judgements of the rater between the two of a comparison, while there are others."""
RECENT = 20
"""Judgements from which the pace is told."""


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """A comparison as one rater is shown it."""

    comparison: Comparison
    shown: tuple[str, ...]
    """Keys of the answers in their order on the screen."""
    showing: int
    """0 the first time, 1 the second."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a rater is."""

    done: int
    """Judgements that stand."""
    total: int
    """Judgements when all that is there now is judged."""
    pace_s: float | None
    """Seconds that a judgement takes, the median of the last twenty; None: too early to tell."""

    @property
    def left_s(self) -> float | None:
        """Seconds until all is judged at this pace."""
        return None if self.pace_s is None else self.pace_s * (self.total - self.done)


def next_assignment(
    comparisons: Sequence[Comparison], judgements: Sequence[Judgement], *, rater: str
) -> Assignment | None:
    """What the rater judges next; None: all is judged.

    `judgements` are the standing ones of all people, in the order in which they were made.
    """
    own = [each for each in judgements if each.rater == rater]
    known = {each.key: each for each in comparisons}
    repeats = [key for key in _due(own, rater=rater) if key in known]
    later = {key for key in repeats if _distance(own, key) >= APART}
    if later:
        key = next(key for key in repeats if key in later)
        return _assignment(known[key], rater=rater, showing=1)
    for comparison in _open(comparisons, judgements, rater=rater):
        return _assignment(comparison, rater=rater, showing=0)
    if repeats:
        return _assignment(known[repeats[0]], rater=rater, showing=1)
    return None


def progress(
    comparisons: Sequence[Comparison], judgements: Sequence[Judgement], *, rater: str
) -> Progress:
    """How far the rater is with what there is now."""
    own = [each for each in judgements if each.rater == rater]
    waiting = _open(comparisons, judgements, rater=rater)
    again = len(_due(own, rater=rater))
    again += sum(is_repeated(each.key, rater=rater) for each in waiting)
    times = [each.milliseconds / 1000 for each in own[-RECENT:]]
    return Progress(
        done=len(own),
        total=len(own) + len(waiting) + again,
        pace_s=statistics.median(times) if len(times) >= 3 else None,
    )


def is_shared(key: str) -> bool:
    """Whether all raters judge a comparison."""
    return _number("shared", key) % SHARED == 0


def is_repeated(key: str, *, rater: str) -> bool:
    """Whether a rater judges a comparison twice."""
    return _number(rater, key) % REPEATED == 0


def _assignment(comparison: Comparison, *, rater: str, showing: int) -> Assignment:
    shown = shuffled(comparison.answer_keys, seed=f"{rater}/{comparison.key}")
    # The other way round, so that who prefers a place and not an answer is found out.
    return Assignment(
        comparison=comparison, shown=shown[::-1] if showing else shown, showing=showing
    )


def _open(
    comparisons: Sequence[Comparison], judgements: Sequence[Judgement], *, rater: str
) -> list[Comparison]:
    """What the rater has not seen, and nobody else where one judgement is enough."""
    first = [each for each in judgements if each.showing == 0]
    own = {each.comparison for each in first if each.rater == rater}
    others = {each.comparison for each in first if each.rater != rater and each.verdict != "skip"}
    return [
        each
        for each in comparisons
        if each.key not in own and (is_shared(each.key) or each.key not in others)
    ]


def _due(own: Sequence[Judgement], *, rater: str) -> list[str]:
    """Keys of what the rater is to judge again, in the order of the first time."""
    again = {each.comparison for each in own if each.showing == 1}
    return [
        each.comparison
        for each in own
        if each.showing == 0
        and each.verdict != "skip"
        and each.comparison not in again
        and is_repeated(each.comparison, rater=rater)
    ]


def _distance(own: Sequence[Judgement], key: str) -> int:
    """Judgements that the rater made after one."""
    place = next(place for place, each in enumerate(own) if each.comparison == key)
    return len(own) - 1 - place


def _number(*parts: str) -> int:
    return int.from_bytes(hashlib.sha256("/".join(parts).encode()).digest()[:8])
