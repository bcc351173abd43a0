"""What judgements say about their raters: kappa, self-agreement, and biases that are planted."""

from dataclasses import replace

import numpy as np
import pytest

from cutaway.alignment.agreement import agreement, cohens_kappa
from cutaway.alignment.judgements import Comparison, Judged, Judgement
from cutaway.errors import DataError
from tests.alignment.conftest import compared

ITEMS = [compared(f"question {number}", "short", "a longer one") for number in range(40)]


def judged(item: Comparison, chosen: int, *, rater: str = "Ruth", **fields: object) -> Judged:
    """One judgement that prefers an answer by its place in the comparison."""
    keys = item.answer_keys
    shown = keys if fields.pop("straight", True) else keys[::-1]
    verdict = "a" if shown[0] == keys[chosen] else "b"
    judgement = Judgement(
        comparison=item.key, rater=rater, judge="person", verdict=verdict, shown=shown
    )
    return Judged(judgement=replace(judgement, **fields), comparison=item)


def test_kappa_is_agreement_beyond_chance_by_its_definition():
    randomness = np.random.default_rng(0)
    first, second = (list(randomness.choice(["a", "b", "tie"], 200)) for _ in range(2))
    second[:120] = first[:120]
    same = np.mean([one == other for one, other in zip(first, second, strict=True)])
    chance = sum(first.count(each) * second.count(each) for each in ("a", "b", "tie")) / 200**2
    assert cohens_kappa(first, second) == pytest.approx((same - chance) / (1 - chance), abs=1e-12)
    assert cohens_kappa(["a", "a"], ["a", "a"]) is None
    with pytest.raises(DataError, match="3 and 2 verdicts"):
        cohens_kappa(["a"] * 3, ["a"] * 2)


def test_raters_agree_on_answers_and_not_on_places():
    rows = [judged(item, number % 2) for number, item in enumerate(ITEMS)]
    rows += [
        judged(item, number % 2, rater="Naomi", straight=False) for number, item in enumerate(ITEMS)
    ]
    (between,) = agreement(rows).between
    assert (between.shared, between.agreement, between.kappa) == (40, 1.0, 1.0)


def test_agreement_with_oneself_counts_repeated_comparisons_by_answer():
    rows = [judged(item, 0) for item in ITEMS[:10]]
    rows += [judged(item, 0, showing=1, straight=False) for item in ITEMS[:8]]
    rows += [judged(item, 1, showing=1) for item in ITEMS[8:10]]
    share = agreement(rows).with_oneself
    assert share is not None
    assert (share.value, share.trials) == (0.8, 10)
    assert share.low < 0.8 < share.high


def test_a_planted_bias_for_the_first_place_and_for_length_is_seen():
    first = [judged(item, 0, straight=True) for item in ITEMS]
    found = agreement(first)
    assert found.first_place is not None
    assert found.longer is not None
    assert (found.first_place.value, found.longer.value) == (1.0, 0.0)
    fair = [judged(item, 0, straight=number % 2 == 0) for number, item in enumerate(ITEMS)]
    place = agreement(fair).first_place
    assert place is not None
    assert place.low < 0.5 < place.high


def test_nothing_judged_is_no_share_of_anything():
    found = agreement([])
    assert (found.judgements, found.with_oneself, found.between, found.longer) == (
        0,
        None,
        (),
        None,
    )
