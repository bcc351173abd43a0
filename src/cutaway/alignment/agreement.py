"""How far judgements can be trusted: with oneself, with others, and against what is not the answer.

Agreement between raters is Cohen's kappa, which takes away what chance alone would agree on (Cohen
1960); shares come with Wilson's interval.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from cutaway.alignment.judgements import Judged, Judgement
from cutaway.errors import DataError


@dataclass(frozen=True, kw_only=True)
class Share:
    """A share with the bounds between which the true one lies with 95 % confidence."""

    value: float
    low: float
    high: float
    trials: int
    """What it is a share of."""


@dataclass(frozen=True, kw_only=True)
class Kappa:
    """How two raters agree."""

    raters: tuple[str, str]
    shared: int
    """Comparisons that both judged."""
    agreement: float
    """Share of them with the same verdict."""
    kappa: float | None
    """1: always agree; 0: as by chance; None: one verdict only, so chance explains all."""


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """What judgements say about their raters."""

    judgements: int
    """Those that count: without skips."""
    verdicts: dict[str, int]
    """How often each was given, skips included."""
    with_oneself: Share | None
    """Share of the repeated comparisons that were judged alike; None: none was repeated yet."""
    between: tuple[Kappa, ...]
    """Each two raters who share comparisons."""
    first_place: Share | None
    """Share of decided pairs that prefer the answer shown first; a half is no bias."""
    longer: Share | None
    """Share of decided pairs of unlike length that prefer the longer answer."""
    seconds: float | None
    """Median time of a judgement; None: no person judged."""


def agreement(judged: Sequence[Judged]) -> Agreement:
    """Measures everything at once; `judged` stand, in the order in which they were made."""
    judgements = [each.judgement for each in judged]
    verdicts: dict[str, int] = {}
    for judgement in judgements:
        verdicts[judgement.verdict] = verdicts.get(judgement.verdict, 0) + 1
    counted = [each for each in judged if each.judgement.verdict != "skip"]
    pairs = [each for each in counted if each.judgement.verdict in ("a", "b")]
    first = sum(each.judgement.verdict == "a" for each in pairs)
    unlike = [more for each in pairs if (more := _longer(each)) != 0]
    again = _repeated([each.judgement for each in counted])
    times = sorted(each.milliseconds for each in judgements if each.milliseconds > 0)
    return Agreement(
        judgements=len(counted),
        verdicts=verdicts,
        with_oneself=_share(sum(again), len(again)),
        between=_between([each.judgement for each in counted]),
        first_place=_share(first, len(pairs)),
        longer=_share(sum(more > 0 for more in unlike), len(unlike)),
        seconds=times[len(times) // 2] / 1000 if times else None,
    )


def verdict_on_answers(judgement: Judgement) -> str:
    """The verdict with the answers for the places, so that two showings can be compared."""
    return ">".join(judgement.order) or judgement.verdict


def cohens_kappa(first: Sequence[str], second: Sequence[str]) -> float | None:
    """Agreement beyond chance; None where only one verdict was ever given.

    Raises:
        DataError: the two lists are of different comparisons, or empty.
    """
    from sklearn.metrics import cohen_kappa_score  # slow to import

    if len(first) != len(second) or not first:
        raise DataError(f"{len(first)} and {len(second)} verdicts cannot be compared one by one")
    if len({*first, *second}) == 1:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(cohen_kappa_score(list(first), list(second)))


def _share(count: int, trials: int) -> Share | None:
    from scipy.stats import binomtest  # slow to import

    if trials == 0:
        return None
    bounds = binomtest(count, trials).proportion_ci(method="wilson")
    return Share(
        value=count / trials, low=float(bounds.low), high=float(bounds.high), trials=trials
    )


def _repeated(judgements: Sequence[Judgement]) -> list[bool]:
    first = {(each.rater, each.comparison): each for each in judgements if each.showing == 0}
    return [
        verdict_on_answers(first[each.rater, each.comparison]) == verdict_on_answers(each)
        for each in judgements
        if each.showing == 1 and (each.rater, each.comparison) in first
    ]


def _between(judgements: Sequence[Judgement]) -> tuple[Kappa, ...]:
    by_rater: dict[str, dict[str, Judgement]] = {}
    for each in judgements:
        if each.showing == 0:
            by_rater.setdefault(each.rater, {})[each.comparison] = each
    found = []
    for one, other in combinations(sorted(by_rater), 2):
        shared = sorted(by_rater[one].keys() & by_rater[other].keys())
        if not shared:
            continue
        # The same letter must mean the same answer: both are read in one order of the answers.
        verdicts = [[_label(by_rater[rater][key]) for key in shared] for rater in (one, other)]
        same = sum(left == right for left, right in zip(*verdicts, strict=True))
        found.append(
            Kappa(
                raters=(one, other),
                shared=len(shared),
                agreement=same / len(shared),
                kappa=cohens_kappa(*verdicts),
            )
        )
    return tuple(found)


def _label(judgement: Judgement) -> str:
    if not judgement.order:
        return judgement.verdict
    places = sorted(judgement.shown)
    return ">".join(str(places.index(key)) for key in judgement.order)


def _longer(judged: Judged) -> int:
    """By how many characters the preferred answer of two is the longer one."""
    better, worse = (judged.comparison.answer(key).text for key in judged.judgement.order)
    return len(better) - len(worse)
