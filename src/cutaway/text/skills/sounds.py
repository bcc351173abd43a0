"""Skills about the sounds of words, from the CMU Pronouncing Dictionary."""

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cache
from string import ascii_lowercase
from typing import ClassVar

from cutaway.text.documents import Split
from cutaway.text.pronunciation import (
    all_pronunciations,
    pronunciations,
    rhyme_parts,
    without_stress,
)
from cutaway.text.skills.base import Example, Metric, Score, Skill, dialogue, last_line
from cutaway.text.skills.words import (
    ask,
    common_words,
    dictionary_words,
    draw_word,
    spelled,
    words_of,
)

NAMES_SHARE = 0.3  # share of the training words that may be names

_PRONOUNCE = (
    "Pronounce {}.",
    "How do you pronounce {}?",
    "How is {} pronounced?",
    "How do you say {}?",
    "What are the sounds of {}?",
    "Write the sounds of {}.",
    "What is the pronunciation of {}?",
)
_RHYME = (
    "What rhymes with {}?",
    "Find a rhyme for {}.",
    "Give me a word that rhymes with {}.",
    "Which word rhymes with {}?",
    "Name a rhyme of {}.",
    "Tell me a word that rhymes with {}.",
)
# The phoneme that each letter most often stands for.
_SOUNDS = "AE B K D EH F G HH IH JH K L M N AA P K R S T AH V W K IY Z"
_SOUND_OF_LETTER = dict(zip(ascii_lowercase, _SOUNDS.split(), strict=True))


class Pronunciation(Skill[str]):
    """Writes how a plain word sounds, in ARPAbet without stress, after its letters."""

    name = "pronunciation"
    metric: ClassVar[Metric] = "phoneme_error_rate"

    def score(self, example: Example, answer: str) -> Score:
        """Counts the edits from the last line to the nearest of the dictionary's pronunciations."""
        given = last_line(answer).split()
        variants = [without_stress(variant) for variant in all_pronunciations()[example.key]]
        scores = [Score(errors=edits(given, one), length=len(one)) for one in variants]
        return min(scores, key=lambda score: score.errors)

    def baseline(self, example: Example) -> str:
        """Gives each letter the phoneme that it most often stands for."""
        return " ".join(_SOUND_OF_LETTER[letter] for letter in example.key)

    def _draw(self, randomness: random.Random) -> str:
        if randomness.random() < NAMES_SHARE:
            return randomness.choice(dictionary_words("train"))
        return draw_word(randomness)

    def _held_out(self) -> Sequence[str]:
        return words_of("validation")

    def _example(self, item: str, split: Split, randomness: random.Random) -> Example:
        answer = f"{spelled(item)}\n{' '.join(pronunciations()[item])}"
        asked = ask(_PRONOUNCE, item, split=split, randomness=randomness)
        return dialogue(asked, answer, key=item)


class Rhymes(Skill[str]):
    """Names a rhyme of a word, after its letters, its sounds, and the sounds that must agree."""

    name = "rhymes"

    def score(self, example: Example, answer: str) -> Score:
        """Is right when the last line is a word of the dictionary that rhymes.

        It must have the same last stressed vowel and all after it, and sound otherwise before.
        """
        word, asked = last_line(answer).lower(), example.key
        is_right = (
            word in rhyme_parts()
            and rhyme_parts()[word] == rhyme_parts()[asked]
            and pronunciations()[word] != pronunciations()[asked]
        )
        return Score(errors=0 if is_right else 1, length=1)

    def baseline(self, example: Example) -> str:
        """Answers the word that most often is a right answer."""
        return _commonest_rhyme()

    def _draw(self, randomness: random.Random) -> str:
        return randomness.choice(_rhyming("train"))

    def _held_out(self) -> Sequence[str]:
        return _rhyming("validation")

    def _example(self, item: str, split: Split, randomness: random.Random) -> Example:
        sounds, part = " ".join(pronunciations()[item]), rhyme_parts()[item]
        answer = f"{spelled(item)}\n{sounds}\n{part}\n{_rhyme_of(item)}"
        asked = ask(_RHYME, item, split=split, randomness=randomness)
        return dialogue(asked, answer, key=item)


def edits(given: Sequence[str], wanted: Sequence[str]) -> int:
    """Returns the least number of insertions, deletions and replacements between two sequences."""
    previous = list(range(len(wanted) + 1))
    for row, one in enumerate(given, start=1):
        current = [row]
        for column, other in enumerate(wanted, start=1):
            replaced = previous[column - 1] + (one != other)
            current.append(min(replaced, previous[column] + 1, current[-1] + 1))
        previous = current
    return previous[-1]


@cache
def _words_by_rhyme() -> Mapping[str, Sequence[str]]:
    """Maps each rhyme to the training words that have it, the commonest first."""
    found: dict[str, list[str]] = defaultdict(list)
    for word in common_words("train"):
        found[rhyme_parts()[word]].append(word)
    return found


@cache
def _rhyme_of(word: str) -> str | None:
    sounds = pronunciations()
    candidates = _words_by_rhyme().get(rhyme_parts()[word], ())
    return next((other for other in candidates if sounds[other] != sounds[word]), None)


@cache
def _rhyming(split: Split) -> Sequence[str]:
    return tuple(word for word in words_of(split) if _rhyme_of(word) is not None)


@cache
def _commonest_rhyme() -> str:
    groups: dict[str, int] = defaultdict(int)
    for word in _rhyming("train"):
        groups[rhyme_parts()[word]] += 1
    return _words_by_rhyme()[max(groups, key=lambda part: groups[part])][0]
