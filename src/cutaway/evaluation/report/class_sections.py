"""The parts of the page about hidden words and about classes."""

from cutaway.evaluation.classification import ClassScores, Misplaced
from cutaway.evaluation.intervals import Interval
from cutaway.evaluation.masked import MaskedScores
from cutaway.evaluation.report import wording
from cutaway.evaluation.report.markup import Markup, join, tag
from cutaway.evaluation.report.sections import NOTHING, section, table

SHOWN_ERRORS = 25


def masked_section(scores: MaskedScores | None) -> Markup:
    """Hidden words named, and order judged, beside what guessing reaches."""
    if scores is None:
        return NOTHING
    rows: list[list[str | Markup]] = [
        [
            wording.HIDDEN_WORDS,
            _share(scores.words),
            f"{scores.commonest:.1%}",
            _n(scores.num_words),
        ]
    ]
    if scores.order is not None:
        rows.append([wording.ORDER, _share(scores.order), "50.0%", _n(scores.num_texts)])
    rows.append([wording.NATS, _number(scores.nats), "–", _n(scores.num_words)])
    columns = ["measure", "this model", wording.GUESSING, "n"]
    figures = table(columns, rows, caption="Hidden words of held-out text, with 95% intervals")
    return section("masked", [tag("p", wording.MASKED_LEAD, css="lead"), figures])


def classes_section(scores: ClassScores | None) -> Markup:
    """Accuracy beside the rival, each class, what is confused, and the errors."""
    if scores is None:
        return NOTHING
    parts = [tag("p", wording.CLASSES_LEAD, css="lead"), _accuracy(scores), _each(scores)]
    parts += [_confusion(scores), _errors(scores)]
    return section("classes", parts)


def _accuracy(scores: ClassScores) -> Markup:
    rows: list[list[str | Markup]] = [
        ["this model", _share(scores.accuracy), _n(scores.n)],
        [wording.MAJORITY, f"{scores.majority:.1%}", _n(scores.n)],
    ]
    if scores.rival is not None:
        rows.insert(1, [wording.BAG_OF_WORDS, _share(scores.rival), _n(scores.n)])
    before = (
        ""
        if scores.uncalibrated_error is None
        else f", {scores.uncalibrated_error:.1%} before it was calibrated"
    )
    note = (
        f"Its probabilities are off by {scores.calibration_error:.1%} on average (ECE{before}); "
        f"the temperature is {scores.temperature:.2f}, the mean loss {scores.nats:.3f} nats."
    )
    caption = f"Accuracy on {scores.data}, with 95% intervals"
    return join([table(["", "accuracy", "n"], rows, caption=caption), tag("p", note)])


def _each(scores: ClassScores) -> Markup:
    rows: list[list[str | Markup]] = [
        [label, f"{one.precision:.1%}", f"{one.recall:.1%}", f"{one.f1:.3f}", _n(one.n)]
        for label, one in scores.classes.items()
    ]
    rows.append([wording.ALL_CLASSES, "", "", f"{scores.macro_f1:.3f}", _n(scores.n)])
    return table(["class", "precision", "recall", "F1", "n"], rows, caption="Each class")


def _confusion(scores: ClassScores) -> Markup:
    rows: list[list[str | Markup]] = [
        [
            label,
            *(tag("b", _n(count)) if at == place else _n(count) for at, count in enumerate(row)),
        ]
        for place, (label, row) in enumerate(zip(scores.labels, scores.confusion, strict=True))
    ]
    caption = "Texts by the class where they belong (rows) and the class that was named (columns)"
    return table(["", *scores.labels], rows, caption=caption)


def _errors(scores: ClassScores) -> Markup:
    shown = scores.errors[:SHOWN_ERRORS]
    if not shown:
        return tag("p", wording.NO_ERRORS)
    items = [tag("li", _error(one)) for one in shown]
    total = scores.n - sum(row[at] for at, row in enumerate(scores.confusion))
    title = tag("summary", [tag("b", wording.ERRORS), f" {len(shown)} of {total}"])
    return tag("details", [title, tag("ol", items)], css="card")


def _error(one: Misplaced) -> list[Markup]:
    told = f"{one.label}, taken for {one.named} ({one.probability:.1%})"
    where = f"{told}; {one.place}" if one.place else told
    return [tag("p", one.text, css="asked"), tag("p", where, css="verdict")]


def _share(interval: Interval) -> Markup:
    bounds = f"{interval.low:.1%} to {interval.high:.1%}"
    return join([tag("b", f"{interval.value:.1%}"), " ", tag("small", bounds)])


def _number(interval: Interval) -> Markup:
    bounds = f"{interval.low:.3f} to {interval.high:.3f}"
    return join([tag("b", f"{interval.value:.3f}"), " ", tag("small", bounds)])


def _n(count: int) -> str:
    return f"{count:,}"
