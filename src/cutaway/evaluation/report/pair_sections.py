"""The part of the page about pairs: figures beside those of the rivals, and what was written."""

from collections.abc import Sequence

from cutaway.evaluation.pairs import PairScores, Written
from cutaway.evaluation.report import wording
from cutaway.evaluation.report.markup import Markup, join, tag
from cutaway.evaluation.report.sections import NOTHING, section, table
from cutaway.evaluation.tasks import Measurement

SHARES = ("exact", "word_error", "phoneme_error", "rouge_l")
"""Measures that lie between 0 and 1; the others go up to 100."""


def pairs_section(scores: PairScores | None) -> Markup:
    """What the model and its rivals reach, how it searched, and examples of three kinds."""
    if scores is None:
        return NOTHING
    lead = (
        f"{scores.data}: {scores.n:,} pairs that it has not learned from. {wording.PAIRS_LEAD} "
        f"The search had {scores.beams} beams and a length penalty of {scores.length_penalty:g}."
    )
    if scores.left_out:
        lead += f" {scores.left_out:,} sources are longer than the model can read; left out."
    kinds = (
        (wording.DRAWN, scores.drawn),
        (wording.BEST, scores.best),
        (wording.WORST, scores.worst),
    )
    examples = [_examples(name, written) for name, written in kinds]
    parts = [tag("p", lead, css="lead"), _figures(scores), tag("div", examples, css="answers")]
    return section("pairs", parts)


def in_unit(one: Measurement, value: float) -> str:
    """Writes a figure as its measure is usually written."""
    return f"{value:.1%}" if one.name in SHARES else f"{value:.2f}"


def _figures(scores: PairScores) -> Markup:
    rows: list[list[str | Markup]] = [
        [
            wording.MEASURES.get(own.name, own.name),
            _cell(own),
            *(_cell(figures[place]) for figures in scores.rivals.values()),
        ]
        for place, own in enumerate(scores.model)
    ]
    columns = ["measure", "this model", *(wording.RIVALS[name] for name in scores.rivals)]
    return table(columns, rows, caption="What was written, with 95% intervals")


def _cell(one: Measurement) -> Markup:
    bounds = f"{in_unit(one, one.value.low)} to {in_unit(one, one.value.high)}"
    return join([tag("b", in_unit(one, one.value.value)), " ", tag("small", bounds)])


def _examples(name: str, written: Sequence[Written]) -> Markup:
    items = [
        tag(
            "li",
            [
                tag("p", one.source, css="asked"),
                tag("p", one.text or wording.NO_TEXT, css="said"),
                tag("p", ["expected ", tag("bdi", one.target)], css="verdict"),
            ],
        )
        for one in written
    ]
    return tag("details", [tag("summary", [tag("b", name)]), tag("ol", items)], css="card")
