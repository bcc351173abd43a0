"""`cutaway evaluate` for an encoder-decoder: what it writes for sources, against what is right."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cutaway.errors import UsageError
from cutaway.stages.judging import card_of, write_card

if TYPE_CHECKING:
    from cutaway.console import Console
    from cutaway.data.pairs import PairData
    from cutaway.evaluation.pairs import PairScores
    from cutaway.interop.open import OpenedPair
    from cutaway.stages.evaluate import Config
    from cutaway.text.pairs import Pair

SIDES = ("source", "target")
"""Settings of the run that name its languages; a config.toml says none where none was given."""

SHOWN = 5
"""Examples that are printed; the report has more."""

SHOWN_CHARACTERS = 100
"""Characters of a text that are printed; the report has all of them."""


def judge_pair_model(
    config: "Config", opened: "OpenedPair", *, console: "Console"
) -> tuple[Path | None, dict[str, Any]]:
    """Judges the model by the given pairs, or by the test split of those that it learned from.

    Of a whole run the report is written, too.
    """
    from cutaway.evaluation.pairs import judge_pairs
    from cutaway.evaluation.tasks import drawn
    from cutaway.evaluation.translation import Translator

    console.say(opened.source.told())
    data = _data(config, opened)
    pairs: Sequence[Pair] = drawn(list(data.all_pairs()), items=config.items, seed=config.seed)
    translator = Translator(
        model=opened.model,
        tokenizer=opened.tokenizer,
        beams=config.beams,
        length_penalty=config.length_penalty,
    )
    found = judge_pairs(translator, pairs, data=data, seed=config.seed)
    show_pairs(found, console=console)
    card = replace(card_of(config.model, opened), pairs=found)
    return write_card(card, config=config, console=console)


def show_pairs(found: "PairScores", *, console: "Console") -> None:
    """Prints the figures beside those of the rivals, and some of what was written."""
    rows: list[list[object]] = [
        [one.name, system, one.value.value, one.value.low, one.value.high]
        for place, each in enumerate(found.model)
        for system, one in (
            ("this model", each),
            *((name, figures[place]) for name, figures in found.rivals.items()),
        )
    ]
    columns = ["measure", "by", "value", "low", "high"]
    console.table(f"{found.data}: {found.n:,} pairs", columns=columns, rows=rows)
    if found.left_out:
        console.warn(f"{found.left_out} items are longer than the model can read; left out")
    console.table(
        "some of them, drawn at random",
        columns=["source", "written", "target"],
        rows=[list(map(_line, (one.source, one.text, one.target))) for one in found.drawn[:SHOWN]],
    )


def _line(text: str) -> str:
    """The beginning of a text on one line, as a table of the console has room for it."""
    line = " ".join(text.split())
    return line if len(line) <= SHOWN_CHARACTERS else f"{line[: SHOWN_CHARACTERS - 1]}…"


def _data(config: "Config", opened: "OpenedPair") -> "PairData":
    """The pairs to judge by, in the languages that the run was trained on."""
    from cutaway.data.pairs import PairData
    from cutaway.evaluation.lineage import run_of, settings_of

    told = settings_of(run_of(config.model)) or {}
    pairs = told.get("pairs", {})
    learned = told.get("data")
    named = config.data or learned
    if not isinstance(named, str):
        raise UsageError(
            f"{config.model} does not say what it was trained on (it has no config.toml);\n"
            "give what to judge it by: data=multi30k, or data=PATH of pairs"
        )
    source, target = (None if side == "none" else side for side in map(pairs.get, SIDES))
    if config.data is not None and config.data != learned and not Path(config.data).exists():
        # Another corpus has languages of its own.
        source = target = None
    return PairData(data=named, source=source, target=target)
