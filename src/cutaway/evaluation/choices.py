"""Which of several texts a model finds more probable: minimal pairs and multiple choice.

Pairs are scored as in Warstadt et al. 2020, section 3; the options of a question by their
probability a byte (Brown et al. 2020, section 2.4, who normalise by tokens).
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cutaway.errors import DataError
from cutaway.evaluation.intervals import Interval, wilson
from cutaway.evaluation.likelihood import token_losses
from cutaway.models.decoder import Decoder
from cutaway.text.json_files import Record
from cutaway.text.records import filled, read_records
from cutaway.tokenizer.base import Tokenizer


@dataclass(frozen=True, kw_only=True)
class MinimalPair:
    """Two sentences that differ in what makes one of them wrong."""

    good: str
    """The sentence that a speaker accepts."""

    bad: str
    """The sentence that a speaker does not."""

    kind: str = ""
    """Name of the phenomenon, if the file has one."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """A question with options, one of them right."""

    question: str
    """What is asked."""

    choices: tuple[str, ...]
    """Two options or more, all different."""

    answer: int
    """Place of the right option, counted from 0."""


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """A share of right decisions."""

    share: Interval
    """Right ones over all, with Wilson's interval."""

    n: int
    """How many were decided."""

    chance: float
    """What guessing reaches."""

    kinds: dict[str, Interval]
    """The same by the kind of item, where the file names kinds."""


def read_minimal_pairs(path: Path) -> list[MinimalPair]:
    """Reads rows of `sentence_good` and `sentence_bad`.

    BLiMP's `UID`, or a `kind`, names the phenomenon.

    Raises:
        DataError: A row lacks a sentence, or both are the same.
    """
    pairs = []
    for record in read_records(path):
        good, bad = filled(record, "sentence_good"), filled(record, "sentence_bad")
        if good == bad:
            raise DataError(f"{record.place}: sentence_good and sentence_bad are the same")
        kind = record.fields.get("UID") or record.fields.get("kind") or ""
        pairs.append(MinimalPair(good=good, bad=bad, kind=str(kind)))
    return pairs


def read_questions(path: Path) -> list[Question]:
    """Reads rows of `question`, `choices` and `answer`.

    `choices` is a list; in a table a JSON list or options parted by `|`. `answer` is the place of
    the right option counted from 0, its letter A, B, C, ..., or its text.

    Raises:
        DataError: A row has fewer than two options, one of them twice, or an answer that is none.
    """
    return [
        Question(
            question=filled(record, "question"),
            choices=(choices := _choices(record)),
            answer=_answer(record, choices),
        )
        for record in read_records(path)
    ]


def score_minimal_pairs(
    model: Decoder, pairs: Sequence[MinimalPair], *, tokenizer: Tokenizer
) -> Accuracy:
    """Counts the pairs of which the model finds the good sentence more probable; a tie is wrong."""
    start = tokenizer.begin_id
    texts = [text for pair in pairs for text in (pair.good, pair.bad)]
    sequences = [[start, *ids] for ids in tokenizer.encode_batch(texts)]
    costs = [float(nats.sum()) for nats, _ in token_losses(model, sequences)]
    is_right = [good < bad for good, bad in zip(costs[::2], costs[1::2], strict=True)]
    return Accuracy(
        share=wilson(sum(is_right), len(pairs)),
        n=len(pairs),
        chance=0.5,
        kinds=_by_kind((pair.kind, right) for pair, right in zip(pairs, is_right, strict=True)),
    )


def score_questions(
    model: Decoder, questions: Sequence[Question], *, tokenizer: Tokenizer
) -> Accuracy:
    """Counts the questions whose right option has the highest probability a byte; a tie is wrong.

    An option follows the question after a space. Only the option's tokens count.
    """
    start = tokenizer.begin_id
    options = [(item.question, f" {choice}") for item in questions for choice in item.choices]
    asked = tokenizer.encode_batch([question for question, _ in options])
    answered = tokenizer.encode_batch([option for _, option in options])
    sequences = [[start, *head, *tail] for head, tail in zip(asked, answered, strict=True)]
    costs = [
        float(nats[len(head) :].sum()) / len(option.encode())
        for (nats, _), head, (_, option) in zip(
            token_losses(model, sequences), asked, options, strict=True
        )
    ]
    right, first = 0, 0
    for item in questions:
        own = costs[first : first + len(item.choices)]
        first += len(item.choices)
        right += own[item.answer] == min(own) and own.count(min(own)) == 1
    return Accuracy(
        share=wilson(right, len(questions)),
        n=len(questions),
        chance=sum(1 / len(item.choices) for item in questions) / len(questions),
        kinds={},
    )


def _by_kind(decisions: Iterable[tuple[str, bool]]) -> dict[str, Interval]:
    total: Counter[str] = Counter()
    right: Counter[str] = Counter()
    for kind, is_right in decisions:
        total[kind] += 1
        right[kind] += is_right
    return {kind: wilson(right[kind], total[kind]) for kind in sorted(total) if kind}


def _choices(record: Record) -> tuple[str, ...]:
    given = record.fields.get("choices")
    if isinstance(given, str):
        given = _parted(given)
    if not isinstance(given, list) or not all(isinstance(one, str) and one for one in given):
        raise DataError(f"{record.place}: choices {given!r:.60}; a list of texts is needed")
    if len(given) < 2 or len(set(given)) < len(given):
        raise DataError(
            f"{record.place}: choices {given!r:.60}; two or more are needed, all different"
        )
    return tuple(given)


def _parted(cell: str) -> object:
    try:
        listed: object = json.loads(cell)
    except json.JSONDecodeError:
        listed = None
    return listed if isinstance(listed, list) else [part.strip() for part in cell.split("|")]


def _answer(record: Record, choices: tuple[str, ...]) -> int:
    given = record.fields.get("answer")
    if isinstance(given, str) and given in choices:
        return choices.index(given)
    place = _place(given)
    if place is None or not 0 <= place < len(choices):
        last = len(choices) - 1
        raise DataError(
            f"{record.place}: answer {given!r:.40} is none of the {len(choices)} choices;\n"
            f"give its text, a letter A to {chr(ord('A') + last)}, or a place 0 to {last}"
        )
    return place


def _place(given: object) -> int | None:
    if isinstance(given, int) and not isinstance(given, bool):
        return given
    if isinstance(given, str) and given.strip().isdecimal():
        return int(given)
    if isinstance(given, str) and len(given.strip()) == 1 and "A" <= given.strip() <= "Z":
        return ord(given.strip()) - ord("A")
    return None
