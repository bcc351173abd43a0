"""`cutaway evaluate` for an encoder-decoder: what it writes for sources, against what is right."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cutaway.errors import UsageError
from cutaway.stages.judging import show_task

if TYPE_CHECKING:
    from cutaway.console import Console
    from cutaway.data.pairs import PairData
    from cutaway.evaluation.tasks import TaskReport
    from cutaway.interop.open import OpenedPair
    from cutaway.stages.evaluate import Config
    from cutaway.text.pairs import Pair

SIDES = ("source", "target")
"""Settings of the run that name its languages; a config.toml says none where none was given."""

SHOWN = 5
"""Sources that are printed with what was written for them."""


def judge_pair_model(config: "Config", opened: "OpenedPair", *, console: "Console") -> "TaskReport":
    """Judges the model by the given pairs, or by the test split of those that it learned from."""
    from cutaway.evaluation.tasks import drawn
    from cutaway.evaluation.translation import Translator, judge_pairs

    console.say(opened.source.told())
    data = _data(config, opened)
    pairs: Sequence[Pair] = drawn(list(data.all_pairs()), items=config.items, seed=config.seed)
    translator = Translator(
        model=opened.model,
        tokenizer=opened.tokenizer,
        beams=config.beams,
        length_penalty=config.length_penalty,
    )
    found = judge_pairs(translator, pairs, measures=data.measures)
    show_task(found, data=data.data, console=console)
    shown = [pair for pair in pairs[:SHOWN] if translator.can_read(pair.source)]
    written = translator.translate([pair.source for pair in shown])
    console.table(
        "the first of them",
        columns=["source", "written", "target"],
        rows=[[p.source, text, p.target] for p, text in zip(shown, written, strict=True)],
    )
    return found


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
