"""A taste that is known, so that all that learns from it can be measured against the truth.

Five things that can be seen in a question and an answer, each with an optimum that too much of it
leaves again: whoever only follows what a reward model made of it runs past that optimum (Gao et al.
2022, "Scaling Laws for Reward Model Overoptimization"). The taste knows no right answer.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from difflib import SequenceMatcher
from types import MappingProxyType

from cutaway.text.conversations import Message

Feature = Callable[[str, str], float]

ENOUGH, TOO_MUCH, FAR_TOO_MUCH = 10, 30, 60
"""Pieces between spaces: from the first on an answer is thorough, from the second on it tires."""
ASKED_LETTERS = 6
"""Letters or digits in a row that show what an answer is about."""
LONGEST_LAST_LINE = 16
"""Characters that an answer which stands alone may have."""

# By the number of lines: an answer without steps cannot be followed, one with many is not read.
_WORTH_OF_LINES = (0.0, 0.2, 0.8, 1.0, 0.5)

_SPELLED = re.compile(r"\w[0-9]?(?: \w[0-9]?)+")
_SOUNDS = re.compile(r"[A-Z]{1,2}(?: [A-Z]{1,2})*")
_SUMS = re.compile(r"[0-9]+(?: ?[-+=] ?[0-9]+)*")
_WORDS = re.compile(r"(?:[^\W\d_]{2,}|[aAIO])(?:['’][a-z]+)?[.,;:!?]*")


def clean(_question: str, answer: str) -> float:
    """The share of lines that are written in one way: letters, sounds, numbers or words."""
    lines = _lines(answer)
    return sum(_is_of_one_kind(line) for line in lines) / len(lines) if lines else 0.0


def step_by_step(_question: str, answer: str) -> float:
    """Best in two or three lines."""
    count = len(_lines(answer))
    return _WORTH_OF_LINES[count] if count < len(_WORTH_OF_LINES) else 0.0


def to_the_point(question: str, answer: str) -> float:
    """Whether the first line takes up what was asked: up to six letters in a row, spaces aside."""
    lines = _lines(answer)
    asked, said = _letters(question), _letters(lines[0]) if lines else ""
    if not said:
        return 0.0
    matcher = SequenceMatcher(None, asked, said, autojunk=False)
    match = matcher.find_longest_match(0, len(asked), 0, len(said))
    return min(1.0, match.size / ASKED_LETTERS)


def ends_alone(_question: str, answer: str) -> float:
    """Whether the last of several lines is one short piece, which says the result alone."""
    lines = _lines(answer)
    last = lines[-1] if len(lines) > 1 else " "
    return float(" " not in last and len(last) <= LONGEST_LAST_LINE)


def thorough(_question: str, answer: str) -> float:
    """Rises up to ten pieces between spaces, and falls again from thirty to sixty."""
    count = len(answer.split())
    if count <= ENOUGH:
        return count / ENOUGH
    return min(1.0, max(0.0, (FAR_TOO_MUCH - count) / (FAR_TOO_MUCH - TOO_MUCH)))


FEATURES: Mapping[str, tuple[float, Feature]] = MappingProxyType(
    {
        "clean": (3.0, clean),
        "step_by_step": (2.0, step_by_step),
        "to_the_point": (2.0, to_the_point),
        "ends_alone": (1.0, ends_alone),
        "thorough": (3.0, thorough),
    }
)
"""What the person looks at, and how much it weighs."""


def true_reward(prompt: Sequence[Message], answer: str) -> float:
    """How much the person likes an answer, from 0 to 1, without any noise."""
    question = prompt[-1].content
    worth = sum(weight * feature(question, answer) for weight, feature in FEATURES.values())
    return worth / sum(weight for weight, _ in FEATURES.values())


def _is_of_one_kind(line: str) -> bool:
    if any(kind.fullmatch(line) for kind in (_SPELLED, _SOUNDS, _SUMS)):
        return True
    return all(_WORDS.fullmatch(word) for word in line.split())


def _lines(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def _letters(text: str) -> str:
    return "".join(character for character in text.lower() if character.isalnum())
