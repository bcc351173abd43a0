"""`cutaway generate` for BERT and for classifiers: fills the blanks of a text, or names its class.

cutaway generate runs/bert "The king [MASK] to the city."
cutaway generate runs/spam "You have won a prize, call now"
"""

import time
from typing import TYPE_CHECKING

from cutaway.errors import ConfigError
from cutaway.stages.generate import Config, Report

if TYPE_CHECKING:
    from cutaway.console import Console

SHOWN = 5
"""Words that are told for each blank."""


def answer_about(config: Config, *, kind: str, console: "Console") -> Report:
    """Fills the blanks of a text, or names its class, by the kind of the model."""
    return (fill_blanks if kind == "encoder" else name_class)(config, console=console)


def fill_blanks(config: Config, *, console: "Console") -> Report:
    """Prints the text with its blanks filled; what else might stand there goes beside it."""
    from cutaway.inference.fill import blanked, fill
    from cutaway.interop.open import OpenedEncoder, open_any

    _refuse_writing(config, does="fills blanks")
    opened = open_any(config.model, device=config.device)
    assert isinstance(opened, OpenedEncoder)
    console.say(opened.source.told())
    start = time.monotonic()
    filled = fill(opened.model, config.prompt, tokenizer=opened.tokenizer, choices=SHOWN)
    seconds = time.monotonic() - start
    for number, blank in enumerate(filled.blanks, start=1):
        told = ", ".join(f"{choice.word} {choice.probability:.1%}" for choice in blank)
        console.say(f"blank {number}: {told}")
    console.product(filled.text)
    return Report(
        text=filled.text,
        form="blanks",
        prompt_tokens=len(blanked(config.prompt, opened.tokenizer)),
        tokens=len(filled.blanks),
        finish_reason="stop",
        seconds=seconds,
        choices=tuple(
            {choice.word: choice.probability for choice in blank} for blank in filled.blanks
        ),
    )


def name_class(config: Config, *, console: "Console") -> Report:
    """Prints each class with its probability, the likeliest first."""
    from cutaway.inference.classify import class_logits
    from cutaway.interop.open import OpenedClassifier, open_any
    from cutaway.text.labelled import LabelledText

    _refuse_writing(config, does="names a class")
    opened = open_any(config.model, device=config.device)
    assert isinstance(opened, OpenedClassifier)
    console.say(opened.source.told())
    start = time.monotonic()
    first, _, second = config.prompt.partition("\t")
    text = LabelledText(text=first, second=second.strip(), label="", key="")
    logits = class_logits(opened.model, [text], tokenizer=opened.tokenizer, too_long="error")
    found = dict(zip(opened.model.labels, logits[0].softmax(dim=-1).tolist(), strict=True))
    found = dict(sorted(found.items(), key=lambda each: -each[1]))
    for label, probability in found.items():
        console.product(f"{label} {probability:.4f}")
    return Report(
        text=next(iter(found)),
        form="class",
        prompt_tokens=len(opened.tokenizer.encode(config.prompt)),
        tokens=0,
        finish_reason="stop",
        seconds=time.monotonic() - start,
        choices=(found,),
    )


def _refuse_writing(config: Config, *, does: str) -> None:
    """Raises ConfigError for settings of a model that writes, and for an empty text."""
    given = [name for name in ("top_k", "top_p", "min_p") if getattr(config, name) is not None]
    given += [name for name in ("form",) if config.form != "auto"]
    given += [name for name in ("weights",) if config.weights != "plain"]
    if not config.prompt.strip():
        raise ConfigError(f"the text is empty, and {config.model} {does}; give a text")
    if given:
        raise ConfigError(
            f"{given[0]}= goes with a model that writes text; {config.model} {does}: leave it out"
        )
