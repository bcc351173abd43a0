"""The parts of the page; each is empty where the run has nothing to say."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from cutaway.evaluation.report import wording
from cutaway.evaluation.report.card import ReportCard, TextScores, TokenizerFacts
from cutaway.evaluation.report.history import FOLLOWING, Sample, StageHistory, spread_out
from cutaway.evaluation.report.markup import Content, Markup, join, tag
from cutaway.evaluation.report.observations import Observation
from cutaway.evaluation.report.pictures import (
    FULL,
    HALF,
    Bar,
    Line,
    LineChart,
    at_widths,
    draw_bars,
    draw_lines,
    draw_parts,
    legend,
    short_place,
    short_value,
)
from cutaway.evaluation.report.scales import Point, smoothed, thinned
from cutaway.evaluation.report.wording import stage_name

MOST_SAMPLES = 8
MOST_TABLE_ROWS = 12
NOTHING = Markup("")


def section(anchor: str, content: Content) -> Markup:
    """Returns a part of the page under its heading."""
    heading = tag("h2", wording.SECTIONS[anchor], attributes={"id": f"{anchor}-heading"})
    labelled = {"id": anchor, "aria-labelledby": f"{anchor}-heading"}
    return tag("section", [heading, join(content)], attributes=labelled)


def table(
    columns: Sequence[str], rows: Sequence[Sequence[str | Markup]], *, caption: str, css: str = ""
) -> Markup:
    """Returns a table whose first column names its rows; it scrolls where it is too wide."""
    head = tag("tr", [tag("th", name, attributes={"scope": "col"}) for name in columns])
    body = [
        tag(
            "tr", [tag("th", row[0], attributes={"scope": "row"}), *(tag("td", c) for c in row[1:])]
        )
        for row in rows
    ]
    whole = tag(
        "table", [tag("caption", caption), tag("thead", [head]), tag("tbody", body)], css=css
    )
    reachable = {"tabindex": "0", "role": "region", "aria-label": caption}
    return tag("div", [whole], css="scroll", attributes=reachable)


def text_section(text: TextScores | None) -> Markup:
    """Bits per byte beside the rivals."""
    if text is None:
        return NOTHING
    bars = [
        Bar(
            label=f"this model, {stage_name(stage)}" if len(text.stages) > 1 else "this model",
            value=score.bits_per_byte.value,
            interval=score.bits_per_byte,
            is_ours=True,
        )
        for stage, score in text.stages.items()
    ]
    if text.baselines:
        rivals = [
            Bar(label=name, value=getattr(text.baselines, key))
            for key, name in wording.TEXT_NAMES.items()
        ]
        bars = [*rivals, *bars]
    first = next(iter(text.stages.values()))
    lead = f"{text.corpus}: {first.num_documents:,} documents, {first.num_bytes:,} bytes. "
    figure = _figure(
        "Bits per byte of held-out text",
        at_widths(lambda width: draw_bars(bars, label="Bits per byte", width=width), widest=FULL),
    )
    rows = [
        [
            stage_name(stage),
            _bounds(score.bits_per_byte.value, score.bits_per_byte.low, score.bits_per_byte.high),
            f"{score.perplexity_per_token:.2f}",
            f"{score.perplexity_per_word:.1f}",
        ]
        for stage, score in text.stages.items()
    ]
    columns = ["model", "bits per byte (95%)", "perplexity per token", "per word"]
    facts = table(columns, rows, caption="How well held-out text is predicted")
    return section("text", [tag("p", lead + wording.TEXT_LEAD, css="lead"), figure, facts])


def curves_section(histories: Sequence[StageHistory]) -> Markup:
    """Loss, learning rate and speed of every stage."""
    # What alignment minimises says little; it has a section of its own.
    told = [history for history in histories if history.stage not in FOLLOWING]
    figures = [figure for history in told for figure in _curves(history)]
    if not figures:
        return NOTHING
    lead = tag("p", wording.CURVES_LEAD, css="lead")
    return section("curves", [lead, tag("div", figures, css="pair")])


def samples_section(prompts: Mapping[str, Sequence[Sample]]) -> Markup:
    """What the model wrote over time, one card for each prompt."""
    if not prompts:
        return NOTHING
    cards = [_samples(prompt, samples) for prompt, samples in prompts.items()]
    lead = tag("p", wording.SAMPLES_LEAD, css="lead")
    return section("samples", [lead, tag("div", cards, css="pair")])


def tokenizer_section(facts: TokenizerFacts | None) -> Markup:
    """How text becomes tokens."""
    if facts is None:
        return NOTHING
    words = f"{facts.vocab_size:,} tokens."
    if facts.bytes_per_token:
        words += f" Held-out text has {facts.bytes_per_token:.2f} bytes a token."
    parts = [tag("p", f"{words} {wording.TOKENIZER_LEAD}", css="lead")]
    if facts.pieces:
        parts += [tag("h3", wording.PIECES), _pieces(facts.pieces)]
    if facts.tokens_per_word:
        rows = [[name, f"{value:.2f}"] for name, value in facts.tokens_per_word.items()]
        parts.append(
            table(["text", "tokens per word"], rows, caption="Tokens per word", css="slim")
        )
    if facts.longest:
        parts += [tag("h3", wording.LONGEST), _pieces(facts.longest)]
    return section("tokenizer", parts)


def normal_section(observations: Sequence[Observation]) -> Markup:
    """What is normal about the run, and what is not."""
    if not observations:
        return NOTHING
    # What needs a look comes first.
    items = [
        tag(
            "li",
            [
                tag("b", wording.FINE if seen.is_fine else wording.LOOK, css="badge"),
                " ",
                seen.words,
            ],
            css="fine" if seen.is_fine else "look",
        )
        for seen in sorted(observations, key=lambda seen: seen.is_fine)
    ]
    lead = tag("p", wording.NORMAL_LEAD, css="lead")
    return section("normal", [lead, tag("ul", items, css="normal")])


def time_section(card: ReportCard) -> Markup:
    """Where the minutes went."""
    parts = [(name, spent) for name, spent in card.minutes.items() if name != "total"]
    if not parts or card.total_minutes is None:
        return NOTHING
    total = card.total_minutes
    whole = sum(spent for _, spent in parts) or 1.0
    swatch = [tag("i", css=f"swatch p{place % 6 + 1}") for place in range(len(parts))]
    rows = [
        [join([mark, " ", stage_name(name)]), f"{spent:.2f}", f"{spent / whole:.0%}"]
        for mark, (name, spent) in zip(swatch, parts, strict=True)
    ]
    rows.append(["total", f"{total:.2f}", ""])
    named = [(stage_name(name), spent) for name, spent in parts]
    picture = at_widths(
        lambda width: draw_parts(named, label=wording.TIME_LEAD, width=width), widest=FULL
    )
    facts = table(["stage", "minutes", "share"], rows, caption=wording.TIME_LEAD, css="slim")
    return section("time", [tag("p", wording.TIME_LEAD, css="lead"), picture, facts])


def settings_section(card: ReportCard, *, config: str, provenance: Mapping[str, Any]) -> Markup:
    """The model, the resolved settings and what the run was made from."""
    parts = []
    if card.model:
        facts = {
            "architecture": card.model.architecture,
            "parameters": f"{card.model.parameters:,}",
            "vocabulary": f"{card.model.vocab_size:,} tokens",
            "context": f"{card.model.context_length:,} tokens",
            **card.model.details,
        }
        parts += [tag("h3", wording.MODEL), _facts(facts)]
    if provenance:
        told = {name: _told(value) for name, value in provenance.items() if value not in (None, {})}
        parts += [tag("h3", wording.PROVENANCE), _facts(told)]
    if config:
        box = tag("pre", config, attributes={"tabindex": "0", "aria-label": wording.CONFIG})
        parts.append(tag("details", [tag("summary", wording.CONFIG), box]))
    return section("settings", parts) if parts else NOTHING


def chart(
    title: str,
    lines: Sequence[Line],
    *,
    history: StageHistory | None = None,
    scale: Literal["linear", "logarithmic"] = "linear",
    widest: int = HALF,
    place: str = "step",
) -> Markup:
    """Draws lines over the steps of a stage, with their values as a table below."""
    times = history.minutes_at if history else lambda step: None
    chart = LineChart(title=title, lines=lines, scale=scale, minutes_at=times, place=place)
    picture = at_widths(lambda width: draw_lines(chart, width=width), widest=widest)
    told = [line for line in lines if line.style != "faint"]
    facts = tag("details", [tag("summary", wording.AS_TABLE), _values(title, told, place=place)])
    shown = legend(lines) if len(lines) > 1 else NOTHING
    css = "card across" if widest == FULL else "card"
    return _figure(title, join([shown, picture, facts]), css=css)


def _curves(history: StageHistory) -> list[Markup]:
    name = stage_name(history.stage)
    losses, validation = history.series("loss"), history.series("validation_loss")
    held_out = history.series("bits_per_byte")
    rates, speeds = history.series("learning_rate"), history.series("tokens_per_second")
    figures = []
    if losses or validation:
        # Beside the bits per byte there is room for half a page, else for a whole one.
        widest = HALF if held_out else FULL
        lines = _loss_lines(losses, validation)
        title = f"{wording.LOSS}, {name}"
        figures.append(chart(title, lines, history=history, scale="logarithmic", widest=widest))
    if held_out:
        lines = [Line(name=wording.HELD_OUT.lower(), points=held_out, style="dashed", colour=2)]
        title = f"{wording.HELD_OUT}, {name}"
        figures.append(chart(title, lines, history=history, scale="logarithmic"))
    if rates:
        peak = max(rate for _, rate in rates) or 1.0
        shares = [(step, rate / peak) for step, rate in rates]
        lines = [Line(name=wording.RATE.lower(), points=shares, colour=3)]
        figures.append(chart(f"{wording.RATE}, {name}", lines, history=history))
    if speeds:
        lines = [Line(name=wording.SPEED.lower(), points=speeds, colour=4)]
        figures.append(chart(f"{wording.SPEED}, {name}", lines, history=history))
    return figures


def _loss_lines(losses: Sequence[Point], validation: Sequence[Point]) -> list[Line]:
    window = max(1, min(50, len(losses) // 20))
    lines = []
    if losses:
        lines.append(Line(name=wording.MEAN, points=smoothed(losses, window=window)))
    if window > 1:
        lines.append(Line(name=wording.TRAINING, points=losses, style="faint"))
    if validation:
        lines.append(Line(name=wording.VALIDATION, points=validation, style="dashed", colour=2))
    return lines


def _values(title: str, lines: Sequence[Line], *, place: str) -> Markup:
    rows = [
        [short_place(at, unit=place), short_value(value), line.name]
        for line in lines
        for at, value in thinned(line.points, most=MOST_TABLE_ROWS)
    ]
    return table([place, "value", "curve"], rows, caption=title)


def _figure(title: str, content: Markup, *, css: str = "card") -> Markup:
    return tag("figure", [tag("figcaption", title), content], css=css)


def _samples(prompt: str, samples: Sequence[Sample]) -> Markup:
    is_asked = all(sample.stage not in ("pretrain", "") for sample in samples)
    called = wording.ASKED if is_asked else wording.AFTER
    heading = tag("h3", [called, " “", tag("q", prompt.strip(), css="plain"), "”"])
    # An answer stands alone; a continuation is read with what it continues.
    before = "" if is_asked else prompt
    rows = [_sample(before, sample) for sample in spread_out(samples, most=MOST_SAMPLES)]
    return tag("article", [heading, tag("ol", rows)], css="card samples")


def _sample(prompt: str, sample: Sample) -> Markup:
    when = f"step {sample.step:,}"
    if sample.stage:
        when = f"{stage_name(sample.stage)}, {when}"
    words = [tag("span", prompt, css="prompt"), tag("span", sample.text)]
    return tag("li", [tag("span", when, css="when"), tag("bdi", words, css="wrote")])


def _pieces(pieces: Sequence[str]) -> Markup:
    """Shows tokens side by side, with their spaces and ends of line drawn."""
    drawn = [
        tag("span", piece.replace(" ", wording.SPACE).replace("\n", wording.NEWLINE), css="token")
        for piece in pieces
    ]
    return tag("p", [part for token in drawn for part in (token, tag("wbr"))], css="tokens")


def _facts(facts: Mapping[str, str]) -> Markup:
    return tag(
        "dl", [tag("div", [tag("dt", name), tag("dd", told)]) for name, told in facts.items()]
    )


def _told(value: Any) -> str:
    """Returns a value of the provenance as a reader wants it."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {_told(inner)}" for name, inner in value.items())
    if isinstance(value, list):
        return " ".join(map(str, value))
    return value if isinstance(value, str) else json.dumps(value)


def _bounds(value: float, low: float, high: float) -> str:
    return f"{value:.3f} ({low:.3f} to {high:.3f})"
