"""`cutaway evaluate` for BERT, by hidden words, and for classifiers, by texts with labels."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cutaway.data.masking import MaskingConfig
from cutaway.errors import UsageError
from cutaway.stages.judging import card_of, write_card

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cutaway.console import Console
    from cutaway.evaluation.classification import ClassScores
    from cutaway.evaluation.masked import MaskedScores
    from cutaway.interop.open import OpenedClassifier, OpenedEncoder
    from cutaway.stages.evaluate import Config
    from cutaway.text.labelled import LabelledText

MOST_BYTES = 2**20
"""Bytes of held-out text in which words are hidden."""


def judge_encoder(
    config: "Config", opened: "OpenedEncoder", *, console: "Console"
) -> tuple[Path | None, dict[str, Any]]:
    """Asks for hidden words of held-out text; of a whole run the report is written, too."""
    from cutaway.evaluation.lineage import run_of, settings_of
    from cutaway.evaluation.masked import masked_scores
    from cutaway.stages.learning import held_out_sample

    console.say(opened.source.told())
    told = settings_of(run_of(config.model)) or {}
    corpus = config.data or config.text or _text_of(told)
    if corpus is None:
        raise UsageError(_unknown(config, example="basic-english"))
    found = masked_scores(
        opened.model,
        held_out_sample(corpus, most_bytes=MOST_BYTES),
        tokenizer=opened.tokenizer,
        config=_masking(told),
        seed=config.seed,
    )
    show_masked(found, data=corpus, console=console)
    card = replace(card_of(config.model, opened), masked=found)
    return write_card(card, config=config, console=console)


def judge_classifier(
    config: "Config", opened: "OpenedClassifier", *, console: "Console"
) -> tuple[Path | None, dict[str, Any]]:
    """Classifies labelled texts; of a whole run those of its test, and the report is written."""
    from cutaway.data.mixture import existing
    from cutaway.evaluation.classification import class_scores
    from cutaway.evaluation.lineage import run_of
    from cutaway.evaluation.report.keeping import kept
    from cutaway.evaluation.tasks import drawn
    from cutaway.inference.classify import class_logits
    from cutaway.text.corpora import CORPORA, LabelledCorpus, corpus
    from cutaway.text.labelled import read_labelled, require_known

    console.say(opened.source.told())
    model = opened.model
    if config.data is None:
        card = kept(run_of(config.model))
        if card.classes is None:
            raise UsageError(_unknown(config, example="mine.csv"))
        show_classes(card.classes, console=console)
        return write_card(card, config=config, console=console)
    if config.data in CORPORA:
        texts = list(corpus(config.data, LabelledCorpus).labelled("validation"))
    else:
        texts = list(read_labelled(existing(config.data)))
    require_known(texts, labels=model.labels)
    chosen: Sequence[LabelledText] = drawn(texts, items=config.items, seed=config.seed)
    logits = class_logits(model, chosen, tokenizer=opened.tokenizer, too_long="error")
    found = class_scores(
        logits.double().numpy(),
        chosen,
        labels=model.labels,
        data=config.data,
        temperature=float(model.temperature.detach()),
    )
    show_classes(found, console=console)
    return write_card(
        replace(card_of(config.model, opened), classes=found), config=config, console=console
    )


def show_masked(found: "MaskedScores", *, data: str, console: "Console") -> None:
    """Prints what was found of hidden words."""
    rows: list[list[object]] = [
        ["masked_accuracy", found.words.value, found.words.low, found.words.high, found.commonest]
    ]
    if found.order is not None:
        rows.append(["next_sentence_accuracy", *_bounds(found.order), 0.5])
    rows.append(["nats a hidden token", *_bounds(found.nats), None])
    columns = ["measure", "value", "low", "high", "chance"]
    title = f"{data}: {found.num_words:,} hidden tokens of {found.num_texts:,} texts"
    console.table(title, columns=columns, rows=rows)


def show_classes(found: "ClassScores", *, console: "Console") -> None:
    """Prints what was found of classes."""
    rows: list[list[object]] = [["accuracy", *_bounds(found.accuracy), found.majority]]
    if found.rival is not None:
        rows.append(["bag of words", *_bounds(found.rival), found.majority])
    rows += [
        ["macro F1", found.macro_f1, None, None, None],
        ["calibration error", found.calibration_error, None, None, None],
    ]
    columns = ["measure", "value", "low", "high", "chance"]
    console.table(f"{found.data}: {found.n:,} texts", columns=columns, rows=rows)
    each: list[list[object]] = [
        [label, one.precision, one.recall, one.f1, one.n] for label, one in found.classes.items()
    ]
    console.table("by class", columns=["class", "precision", "recall", "F1", "n"], rows=each)


def _bounds(interval: Any) -> tuple[float, float, float]:
    return interval.value, interval.low, interval.high


def _masking(told: Any) -> MaskingConfig:
    """How the run hid words; of a model from elsewhere as the paper does."""
    table = told.get("masking", {})
    given = {name: table[name] for name in ("share", "whole_words") if name in table}
    return MaskingConfig(**given)


def _text_of(told: Any) -> str | None:
    parts = told.get("mixture") or [{"source": told.get("data")}]
    named = parts[0].get("source")
    return named if isinstance(named, str) else None


def _unknown(config: "Config", *, example: str) -> str:
    return (
        f"{config.model} does not say what it was trained on or tested by;\n"
        f"give what to judge it by: data={example}"
    )
