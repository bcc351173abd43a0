"""Judgements: a prompt with the answers that are compared, and what one rater said about them."""

import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Literal

from cutaway.errors import DataError, UsageError
from cutaway.text.conversations import Message

Verdict = Literal["a", "b", "tie", "both_bad", "skip", "ranking"]
Judge = Literal["person", "rule", "simulated", "file"]

MOST_ANSWERS = 4
"""The most answers that are judged at once."""
LONGEST_RATER = 80
"""The most characters of a rater's name."""
MOST_REASONS = 16
"""The most reasons that one judgement gives."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One answer to a prompt, and all that is needed to make it again."""

    text: str
    """What was said."""
    ids: tuple[int, ...] = ()
    """Its tokens in the model's own tokenizer; empty where no model of ours wrote it."""
    seed: int | None = None
    """The seed that it was drawn with; None: not drawn."""
    sampler: str = ""
    """How it was drawn, such as `temperature 0.8`."""
    model: str = ""
    """Who wrote it, as a person calls it; raters do not see it."""
    model_hash: str = ""
    """SHA-256 of the model's weights; empty where no model of ours wrote it."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A prompt with the answers that are judged against each other."""

    prompt: tuple[Message, ...]
    """The messages so far, the last of them the user's."""
    answers: tuple[Answer, ...]
    """Two to four."""

    def __post_init__(self) -> None:
        if not 2 <= len(self.answers) <= MOST_ANSWERS:
            raise DataError(
                f"{len(self.answers)} answers are to be compared, but 2 to {MOST_ANSWERS} can be"
            )
        if len(set(self.answer_keys)) < len(self.answers):
            raise DataError("an answer is to be compared with itself; give two different ones")

    @cached_property
    def prompt_key(self) -> str:
        """Names the prompt by its content."""
        return _hash([[message.role, message.content] for message in self.prompt])

    @cached_property
    def answer_keys(self) -> tuple[str, ...]:
        """Name the answers by their content and origin, in order."""
        return tuple(
            _hash([self.prompt_key, each.text, each.ids, each.seed, each.sampler, each.model_hash])
            for each in self.answers
        )

    @cached_property
    def key(self) -> str:
        """Names the comparison, whatever the order of its answers."""
        return _hash(sorted(self.answer_keys))

    def answer(self, key: str) -> Answer:
        """The answer of a name."""
        return self.answers[self.answer_keys.index(key)]


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What one rater said about one comparison, once."""

    comparison: str
    """The comparison's key."""
    rater: str
    """Who judged: a name that the rater chose, or the judge's own."""
    judge: Judge
    """What kind of judge it was."""
    verdict: Verdict
    """`a` and `b`: the first or the second that was shown is better."""
    shown: tuple[str, ...]
    """Keys of the answers in the order in which they were shown."""
    ranking: tuple[str, ...] = ()
    """Keys of the answers, the best first; of the verdict `ranking` only."""
    reasons: tuple[str, ...] = ()
    """Tags that say why, such as `correct`."""
    better: str = ""
    """A better answer that the rater wrote; empty: none."""
    showing: int = 0
    """0: the first time that this rater saw the comparison; 1: the repetition."""
    milliseconds: int = 0
    """From showing to judging."""
    time: datetime = field(default_factory=lambda: datetime.now(UTC))
    """When it was judged."""
    number: int | None = None
    """Its place in the store, from 1; None: not stored yet."""
    undone: datetime | None = None
    """When the rater took it back; None: it stands."""

    @property
    def order(self) -> tuple[str, ...]:
        """Keys of the answers, the best first; empty where none is better than another."""
        match self.verdict:
            case "a":
                return self.shown
            case "b":
                return self.shown[::-1]
            case "ranking":
                return self.ranking
        return ()


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A judgement with what it is about."""

    judgement: Judgement
    comparison: Comparison


def check(judgement: Judgement, comparison: Comparison) -> None:
    """Refuses a judgement that cannot be one of this comparison.

    Raises:
        DataError: it speaks of an answer that is gone, or of other answers than were compared.
        UsageError: the verdict does not fit the number of answers, or a text is out of bounds.
    """
    keys = comparison.answer_keys
    for key in (*judgement.shown, *judgement.ranking):
        if key not in keys:
            raise DataError(
                f"a judgement by {judgement.rater[:LONGEST_RATER]} is of the answer {key[:40]}, "
                "which is gone;\nthe comparison has others now: judge it again"
            )
    if sorted(judgement.shown) != sorted(keys):
        raise DataError(
            f"{len(judgement.shown)} answers were shown, but {len(keys)} are compared;\n"
            "name each of them once, in the order in which it was shown"
        )
    if judgement.verdict in ("a", "b") and len(keys) != 2:
        raise UsageError(f"the verdict {judgement.verdict} is of 2 answers, not of {len(keys)}")
    if (sorted(judgement.ranking) != sorted(keys)) == (judgement.verdict == "ranking"):
        raise UsageError(
            f"the verdict {judgement.verdict} comes with {len(judgement.ranking)} ranked answers;\n"
            "the verdict `ranking` names every answer once, the best first, and no other does"
        )
    if not 0 < len(judgement.rater) <= LONGEST_RATER or not judgement.rater.isprintable():
        raise UsageError(
            f"the rater's name is {judgement.rater[:40]!r};\n"
            f"give 1 to {LONGEST_RATER} printable characters"
        )
    if len(judgement.reasons) > MOST_REASONS:
        raise UsageError(f"{len(judgement.reasons)} reasons; {MOST_REASONS} are allowed")


def _hash(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]
