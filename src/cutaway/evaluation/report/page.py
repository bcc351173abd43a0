"""Writes report.html and report.json of a run folder: one file to read, one for machines."""

import json
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from cutaway.durable import write_file
from cutaway.evaluation.report import wording
from cutaway.evaluation.report.alignment_sections import alignment_section
from cutaway.evaluation.report.card import ReportCard, as_json
from cutaway.evaluation.report.class_sections import classes_section, masked_section
from cutaway.evaluation.report.history import (
    Sample,
    StageHistory,
    histories,
    samples_by_prompt,
)
from cutaway.evaluation.report.markup import Markup, tag
from cutaway.evaluation.report.observations import observe
from cutaway.evaluation.report.pair_sections import in_unit, pairs_section
from cutaway.evaluation.report.sections import (
    NOTHING,
    curves_section,
    normal_section,
    samples_section,
    settings_section,
    text_section,
    time_section,
    tokenizer_section,
)
from cutaway.evaluation.report.skill_sections import prompts_section, skills_section
from cutaway.evaluation.report.verse_sections import verses_section
from cutaway.run_folder import RunFolder

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""What the page may load: nothing."""

GOOD_SHARE = 0.9


def write_report(folder: Path, *, card: ReportCard, before: Sequence[Path] = ()) -> Path:
    """Writes the report of a run from its card and its folder; returns the page's path.

    Curves come from metrics.jsonl, samples from samples.jsonl, settings from config.toml
    and provenance.json; `before` names the folders of earlier runs whose curves and samples come
    first, such as that of the base model. What a run lacks is left out.
    """
    run = RunFolder(path=folder)
    runs = [*(RunFolder(path=earlier) for earlier in before), run]
    stages = histories(row for each in runs for row in each.metrics.read())
    samples = samples_by_prompt(row for each in runs for row in each.samples.read())
    data = as_json(card) | {
        "training": {history.stage: _ending(history) for history in stages},
        "observations": [
            {"is_fine": seen.is_fine, "words": seen.words} for seen in observe(card, stages)
        ],
    }
    write_file(run.report_data, _json(data))
    page = render(run, card=card, stages=stages, samples=samples)
    write_file(run.report, page.encode())
    return run.report


def render(
    run: RunFolder,
    *,
    card: ReportCard,
    stages: Sequence[StageHistory],
    samples: Mapping[str, Sequence[Sample]],
) -> str:
    """Returns the whole page."""
    parts = {
        "classes": classes_section(card.classes),
        "masked": masked_section(card.masked),
        "pairs": pairs_section(card.pairs),
        "verses": verses_section(card.verses),
        "text": text_section(card.text),
        "skills": skills_section(card.skills),
        "prompts": prompts_section(card.skills),
        "alignment": alignment_section(stages),
        "curves": curves_section(stages),
        "samples": samples_section(samples),
        "tokenizer": tokenizer_section(card.tokenizer),
        "normal": normal_section(observe(card, stages)),
        "time": time_section(card),
        "settings": settings_section(
            card, config=_text(run.config), provenance=_provenance(run.provenance)
        ),
    }
    shown = {name: parts[name] for name in wording.SECTIONS if parts[name]}
    body = [
        tag("a", wording.SKIP, css="skip", attributes={"href": "#report"}),
        _header(card),
        _contents(list(shown)),
        tag("main", [*shown.values(), _next(card)], attributes={"id": "report"}),
        tag("footer", [tag("p", wording.FOOT)]),
    ]
    whole = tag("html", [_head(card), tag("body", body)], attributes={"lang": wording.LANGUAGE})
    return f"<!doctype html>\n{whole}\n"


def _head(card: ReportCard) -> Markup:
    style = resources.files("cutaway.evaluation.report").joinpath("report.css").read_text("utf-8")
    return tag(
        "head",
        [
            tag("meta", attributes={"charset": "utf-8"}),
            _meta("viewport", "width=device-width, initial-scale=1"),
            _meta("color-scheme", "light dark"),
            tag(
                "meta",
                attributes={"http-equiv": "Content-Security-Policy", "content": POLICY},
            ),
            tag("title", f"{card.title}: report"),
            tag("style", Markup(style)),
        ],
    )


def _header(card: ReportCard) -> Markup:
    return tag(
        "header",
        [
            tag("p", "Cutaway", css="brand"),
            tag("h1", card.title),
            tag("p", _summary(card), css="summary"),
            tag("ul", [_tile(*tile) for tile in _tiles(card)], css="tiles"),
        ],
    )


def _summary(card: ReportCard) -> str:
    words = "A language model"
    if card.classes:
        words = "A classifier"
    elif card.masked:
        words = "An encoder"
    elif card.pairs:
        words = "An encoder-decoder"
    if card.model:
        words += f" of {_amount(card.model.parameters)} parameters"
    if card.total_minutes is not None:
        words += f", built from text in {_duration(card.total_minutes)}"
    return words + "."


def _tiles(card: ReportCard) -> list[tuple[str, str, str]]:
    tiles = []
    if card.classes:
        rival = card.classes.rival
        note = "of held-out texts" if rival is None else f"a bag of words: {rival.value:.1%}"
        tiles.append((f"{card.classes.accuracy.value:.1%}", "put into the right class", note))
    if card.masked:
        note = f"the commonest one: {card.masked.commonest:.1%}"
        tiles.append((f"{card.masked.words.value:.1%}", "of hidden tokens named right", note))
    if card.pairs:
        main = card.pairs.model[0]
        note = "no rival"
        if main.chance is not None:
            note = f"without learning: {in_unit(main, main.chance)}"
        tiles.append(
            (in_unit(main, main.value.value), wording.MEASURES.get(main.name, main.name), note)
        )
    if card.verses:
        note = f"{card.verses.num_memorised:,} of {card.verses.num_lines:,} lines memorised"
        tiles.append((f"{card.verses.in_form.value:.1%}", "of clauses in the form asked for", note))
    if card.text:
        score = next(iter(card.text.stages.values())).bits_per_byte
        rivals = card.text.baselines
        note = f"xz needs {rivals.xz:.2f}" if rivals else f"{score.low:.3f} to {score.high:.3f}"
        tiles.append((f"{score.value:.3f}", "bits per byte of unseen text", note))
    exact = [skill for skill in card.skills if skill.metric == "exact" and skill.stages]
    if exact:
        last = [skill.best(next(reversed(skill.stages))).value.value for skill in exact]
        good = sum(value >= GOOD_SHARE for value in last)
        note = f"the mean of all is {sum(last) / len(last):.0%}"
        tiles.append((f"{good} of {len(exact)}", f"skills at {GOOD_SHARE:.0%} or better", note))
    if card.model:
        note = f"{card.model.vocab_size:,} tokens, {card.model.context_length:,} read at once"
        tiles.append((_amount(card.model.parameters), "parameters", note))
    if card.total_minutes is not None:
        longest = max(card.minutes, key=lambda name: (name != "total", card.minutes[name]))
        note = f"{wording.stage_name(longest)} took {_duration(card.minutes[longest])}"
        tiles.append((_duration(card.total_minutes), "from text to model", note))
    return tiles


def _tile(value: str, name: str, note: str) -> Markup:
    parts = [tag("b", value), tag("span", name), tag("small", note)]
    return tag("li", parts, css="card")


def _contents(anchors: Sequence[str]) -> Markup:
    links = [
        tag("li", [tag("a", wording.CONTENTS[name], attributes={"href": f"#{name}"})])
        for name in anchors
    ]
    return tag("nav", [tag("ul", links)], attributes={"aria-label": "Contents"})


def _next(card: ReportCard) -> Markup:
    if not card.next_command:
        return NOTHING
    heading = tag("h2", wording.CHAT, attributes={"id": "chat-heading"})
    command = tag("pre", [tag("code", card.next_command)], attributes={"tabindex": "0"})
    return tag("section", [heading, command], attributes={"aria-labelledby": "chat-heading"})


def _ending(history: StageHistory) -> dict[str, float]:
    """Returns what a stage ended with."""
    names = ("step", "tokens", "seconds", "loss", "validation_loss", "tokens_per_second")
    series = {name: history.series(name) for name in names}
    return {name: points[-1][1] for name, points in series.items() if points}


def _meta(name: str, content: str) -> Markup:
    return tag("meta", attributes={"name": name, "content": content})


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


def _provenance(path: Path) -> Mapping[str, Any]:
    try:
        read = json.loads(_text(path) or "{}")
    except json.JSONDecodeError:
        return {}
    return read if isinstance(read, dict) else {}


def _json(data: Mapping[str, Any]) -> bytes:
    text = json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode(errors="replace")


def _amount(count: int) -> str:
    for unit, name in ((10**9, "billion"), (10**6, "million")):
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count:,}"


def _duration(minutes: float) -> str:
    seconds = round(minutes * 60)
    if seconds < 60:
        words = f"{seconds} s"
    elif seconds < 3600:
        words = f"{seconds // 60} min {seconds % 60:02d} s"
    else:
        words = f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"
    return words.replace(" ", "\N{NO-BREAK SPACE}")
