"""Skills about the letters of words: spelling, correcting, counting, reversing.

A tokenizer hides letters from a model, so every answer begins by spelling the word.
"""

import random
from collections.abc import Sequence
from functools import cache
from string import ascii_lowercase

from cutaway.text.documents import Split
from cutaway.text.pronunciation import pronunciations
from cutaway.text.skills.base import (
    Example,
    Score,
    Skill,
    dialogue,
    last_line,
    reference,
    same_last_line,
)
from cutaway.text.skills.words import ask, common_words, draw_word, spelled, words_of

_SPELL = (
    "Spell {}.",
    "Spell the word {}.",
    "How do you spell {}?",
    "How is {} spelled?",
    "What are the letters of {}?",
    "Write {} letter by letter.",
    "Can you spell {}?",
    "Please spell {} for me.",
)
_REVERSE = (
    "Reverse {}.",
    "Reverse the word {}.",
    "Write {} backwards.",
    "Spell {} backwards.",
    "What is {} backwards?",
    "What is the reverse of {}?",
    "Turn the letters of {} round.",
)
_COUNT_LETTER = (
    "How many times is the letter {1} in {0}?",
    "How many times does {1} appear in {0}?",
    "How often is the letter {1} in the word {0}?",
    "How many letters {1} are there in {0}?",
    "Count the letter {1} in {0}.",
)
_COUNT_ALL = (
    "How many letters are in {}?",
    "How many letters does {} have?",
    "Count the letters of {}.",
    "How long is the word {}?",
)
_CORRECT = (
    "Correct the spelling of {}.",
    "Correct {}.",
    "What is the right spelling of {}?",
    "How should {} be spelled?",
    "I wrote {}. What is right?",
    "Put right the spelling of {}.",
)


class Spelling(Skill[str]):
    """Writes a word letter by letter."""

    name = "spelling"

    def score(self, example: Example, answer: str) -> Score:
        """Is right when the last line is the letters with a space between them."""
        return same_last_line(example, answer)

    def baseline(self, example: Example) -> str:
        """Copies the word."""
        return example.key

    def _draw(self, randomness: random.Random) -> str:
        return draw_word(randomness)

    def _held_out(self) -> Sequence[str]:
        return words_of("validation")

    def _example(self, item: str, split: Split, randomness: random.Random) -> Example:
        asked = ask(_SPELL, item, split=split, randomness=randomness)
        return dialogue(asked, spelled(item), key=item)


class Reversing(Skill[str]):
    """Writes a word backwards, letter by letter, after spelling it forwards."""

    name = "reversing"

    def score(self, example: Example, answer: str) -> Score:
        """Is right when the last line is the reversed word, together or letter by letter."""
        is_right = last_line(answer).replace(" ", "") == example.key[::-1]
        return Score(errors=0 if is_right else 1, length=1)

    def baseline(self, example: Example) -> str:
        """Copies the word."""
        return example.key

    def _draw(self, randomness: random.Random) -> str:
        return draw_word(randomness)

    def _held_out(self) -> Sequence[str]:
        return words_of("validation")

    def _example(self, item: str, split: Split, randomness: random.Random) -> Example:
        answer = f"{spelled(item)}\n{spelled(item[::-1])}"
        asked = ask(_REVERSE, item, split=split, randomness=randomness)
        return dialogue(asked, answer, key=item)


class Counting(Skill[str]):
    """Counts one letter of a word, or all, with a number behind each: `p o s1 s2 e s3 s4`."""

    name = "counting"

    def score(self, example: Example, answer: str) -> Score:
        """Is right when the last line is the number."""
        return same_last_line(example, answer)

    def baseline(self, example: Example) -> str:
        """Answers 1, the commonest number."""
        return "1"

    def _draw(self, randomness: random.Random) -> str:
        return draw_word(randomness)

    def _held_out(self) -> Sequence[str]:
        return words_of("validation")

    def _example(self, item: str, split: Split, randomness: random.Random) -> Example:
        kind = randomness.random()
        if kind < 0.2:
            asked = ask(_COUNT_ALL, item, split=split, randomness=randomness)
            letters = item
        else:
            repeated = [letter for letter in item if item.count(letter) > 1]
            if kind < 0.5 and repeated:
                letters = randomness.choice(repeated)
            else:
                letters = randomness.choice(item if kind < 0.8 else ascii_lowercase)
            wordings = [wording.replace("{1}", letters) for wording in _COUNT_LETTER]
            asked = ask(wordings, item, split=split, randomness=randomness)
        return dialogue(asked, _counted(item, letters), key=item)


class Correcting(Skill[str]):
    """Finds the common word that a wrong edit has changed.

    The edit leaves out, doubles, swaps or replaces one letter and makes no word of the dictionary.
    """

    name = "correcting"

    def score(self, example: Example, answer: str) -> Score:
        """Is right when the last line is the word, in small letters or capitals."""
        is_right = last_line(answer).lower() == example.key
        return Score(errors=0 if is_right else 1, length=1)

    def baseline(self, example: Example) -> str:
        """Copies the misspelling, which is always wrong."""
        return reference(example).splitlines()[0].replace(" ", "")

    def _draw(self, randomness: random.Random) -> str:
        return randomness.choice(_correctable("train"))

    def _held_out(self) -> Sequence[str]:
        return _correctable("validation")

    def _example(self, item: str, split: Split, randomness: random.Random) -> Example:
        written = _misspelled(item, randomness)
        asked = ask(_CORRECT, written, split=split, randomness=randomness)
        return dialogue(asked, f"{spelled(written)}\n{spelled(item)}\n{item}", key=item)


def _counted(word: str, letters: str) -> str:
    count = 0
    written: list[str] = []
    for letter in word:
        if letter in letters:
            count += 1
            written.append(f"{letter}{count}")
        else:
            written.append(letter)
    return " ".join(written) + f"\n{count}"


@cache
def _correctable(split: Split) -> Sequence[str]:
    return tuple(word for word in common_words(split) if len(word) > 3)


def _misspelled(word: str, randomness: random.Random) -> str:
    known = pronunciations()
    while True:
        place = randomness.randrange(len(word))
        kind = randomness.randrange(4)
        if kind == 0:
            changed = word[:place] + word[place + 1 :]
        elif kind == 1:
            changed = word[: place + 1] + word[place:]
        elif kind == 2:
            changed = word[:place] + word[place : place + 2][::-1] + word[place + 2 :]
        else:
            changed = word[:place] + randomness.choice(ascii_lowercase) + word[place + 1 :]
        if changed not in known and changed != word:
            return changed
