"""A report of pairs: the model beside its rivals, and what it wrote."""

import json
from pathlib import Path

import pytest

from cutaway.evaluation.intervals import Interval
from cutaway.evaluation.pairs import PairScores, Written
from cutaway.evaluation.report.card import ReportCard, as_json
from cutaway.evaluation.report.keeping import keep, kept
from cutaway.evaluation.report.observations import observe
from cutaway.evaluation.report.page import write_report
from cutaway.evaluation.tasks import Measurement


def chrf(value: float, *, chance: float | None = None) -> tuple[Measurement, ...]:
    bounds = Interval(value=value, low=value - 2, high=value + 2)
    one = Measurement(name="chrf", value=bounds, higher_is_better=True, n=40, chance=chance)
    return (one,)


def scores(reached: float) -> PairScores:
    example = Written(source="Two <b>dogs", text="", target="Zwei Hunde", nearness=0.0)
    return PairScores(
        data="english-chinese",
        n=40,
        left_out=3,
        beams=4,
        length_penalty=0.6,
        model=chrf(reached, chance=9.5),
        rivals={"copy": chrf(1.25), "dictionary": chrf(9.5)},
        drawn=(example,),
        best=(example,),
        worst=(example,),
    )


def test_figures_rivals_and_examples_are_shown_and_escaped(tmp_path: Path) -> None:
    card = ReportCard(title="x", pairs=scores(30.0))
    page = write_report(tmp_path, card=card).read_text(encoding="utf-8")
    for words in ("30.00", "28.00 to 32.00", "words of the training pairs", "9.50", "4 beams"):
        assert words in page
    assert "Two &lt;b&gt;dogs" in page
    assert "(nothing)" in page
    told = json.loads((tmp_path / "report.json").read_text())["pairs"]
    assert told["measurements"]["chrf"]["value"] == 30.0
    assert told["rivals"]["dictionary"]["chrf"]["low"] == 7.5
    assert told["drawn"][0]["target"] == "Zwei Hunde"
    assert told["left_out"] == 3


def test_a_report_that_is_kept_says_the_same_again(tmp_path: Path) -> None:
    card = ReportCard(title="x", pairs=scores(30.0))
    keep(card, tmp_path)
    assert as_json(kept(tmp_path)) == as_json(card)


@pytest.mark.parametrize(
    ("reached", "is_fine", "told"),
    [
        (30.0, True, "beats everything that needs no learning"),
        (12.0, False, "not shown to be better than: words of the training pairs"),
        (1.0, False, "the source, copied, words of the training pairs"),
    ],
)
def test_a_rival_that_is_not_beaten_is_named(reached: float, is_fine: bool, told: str) -> None:
    [seen] = observe(ReportCard(title="x", pairs=scores(reached)), [])
    assert seen.is_fine == is_fine
    assert told in seen.words
