"""The part of the page about new poems: their form, what they have by heart, and some of them."""

from collections.abc import Sequence

from cutaway.evaluation.intervals import Interval
from cutaway.evaluation.report import wording
from cutaway.evaluation.report.markup import Markup, join, tag
from cutaway.evaluation.report.sections import NOTHING, section, table
from cutaway.evaluation.verses import Poem, VerseScores

SHOWN = 6
"""Poems of each kind that are shown."""

MOST_MEMORISED = 20
"""Memorised lines that are shown."""


def verses_section(scores: VerseScores | None) -> Markup:
    """Clauses in form, lines that are memorised, and poems: as drawn, and those furthest off."""
    if scores is None:
        return NOTHING
    lead = f"{wording.VERSES_LEAD} Drawn at temperature {scores.temperature:g}."
    if scores.num_unfinished:
        lead += f" {scores.num_unfinished:,} poems were cut by the length of the model."
    furthest = sorted(scores.poems, key=lambda one: one.num_in_form / max(1, one.num_clauses))
    kinds = (
        *((form, [one for one in scores.poems if one.form == form]) for form in scores.forms),
        (wording.WORST, furthest),
    )
    shown = [_poems(name, poems[:SHOWN]) for name, poems in kinds]
    parts = [tag("p", lead, css="lead"), _figures(scores), tag("div", shown, css="answers")]
    return section("verses", [*parts, _memorised(scores)])


def _figures(scores: VerseScores) -> Markup:
    rows: list[list[str | Markup]] = [
        ["clauses in the form asked for", _share(scores.in_form), f"{scores.num_clauses:,}", "–"],
        *([f"asked for {form}", _share(one), "", "–"] for form, one in scores.forms.items()),
        [
            f"lines memorised: {scores.num_memorised:,}",
            _share(scores.memorised),
            f"{scores.num_lines:,}",
            _share(scores.held_out_memorised),
        ],
    ]
    columns = ["measure", "new poems", "of", "held-out poems"]
    return table(columns, rows, caption=f"New poems, after {scores.data}, with 95% intervals")


def _poems(name: str, poems: Sequence[Poem]) -> Markup:
    items = [
        tag(
            "li",
            [
                tag("p", one.form, css="asked"),
                tag("p", one.text or wording.NO_TEXT, css="said"),
                tag("p", f"{one.num_in_form} of {one.num_clauses} clauses", css="verdict"),
            ],
            css="right" if one.num_in_form == one.num_clauses else "wrong",
        )
        for one in poems
    ]
    return tag("details", [tag("summary", [tag("b", name)]), tag("ol", items)], css="card")


def _memorised(scores: VerseScores) -> Markup:
    found = list(dict.fromkeys(line for poem in scores.poems for line in poem.memorised))
    if not found:
        return tag("p", wording.NOT_MEMORISED)
    title = tag("summary", [tag("b", wording.MEMORISED), f" {len(found):,} different ones"])
    items = [tag("li", line) for line in found[:MOST_MEMORISED]]
    return tag("details", [title, tag("ul", items)], css="card")


def _share(interval: Interval) -> Markup:
    bounds = f"{interval.low:.1%} to {interval.high:.1%}"
    return join([tag("b", f"{interval.value:.1%}"), " ", tag("small", bounds)])
