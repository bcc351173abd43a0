"""The words that skills ask about, and their one split: no skill trains on a held-out word.

The base text may hold such a word, and training may ask about another form of it.
"""

import random
from collections.abc import Sequence
from functools import cache

from cutaway.text.documents import Split, split_of
from cutaway.text.pronunciation import is_fit, plain_words, pronunciations

COMMON = 4000  # words that both versions of the Bible use most
COMMON_SHARE = 0.4  # of the training questions about letters and sounds
CARELESS = 0.1  # share of the training questions with quotes, without end mark or capital


@cache
def words_of(split: Split) -> Sequence[str]:
    """Returns the plain words of a split, the commonest first.

    A word that is a held-out one backwards (`rats`) is in neither, as reversing it would show that.
    """
    words = tuple(word for word in plain_words() if split_of(word) == split)
    if split == "validation":
        return words
    held_out = set(words_of("validation"))
    return tuple(word for word in words if word[::-1] not in held_out)


@cache
def common_words(split: Split) -> Sequence[str]:
    """Returns the commonest plain words of a split."""
    common = set(plain_words()[:COMMON])
    return tuple(word for word in words_of(split) if word in common)


def draw_word(randomness: random.Random) -> str:
    """Draws a training word, a common one more often than it stands in the list.

    The commonest words are single tokens, whose letters a model sees nowhere, and are what people
    ask about first; among 25,000 words they would hardly be met.
    """
    is_common = randomness.random() < COMMON_SHARE
    return randomness.choice(common_words("train") if is_common else words_of("train"))


@cache
def dictionary_words(split: Split) -> Sequence[str]:
    """Returns every word of the dictionary that is as long as plain words, names included."""
    return tuple(word for word in pronunciations() if is_fit(word) and split_of(word) == split)


def ask(wordings: Sequence[str], word: str, *, split: Split, randomness: random.Random) -> str:
    """Asks about a word; in training sometimes as carelessly as people write."""
    wording = randomness.choice(wordings)
    if split == "validation" or randomness.random() >= CARELESS:
        return wording.format(word)
    habit = randomness.randrange(3)
    if habit == 0:
        return wording.format(f'"{word}"')
    if habit == 1:
        return wording.format(word).rstrip(".?")
    return wording[0].lower() + wording[1:].format(word)


def spelled(word: str) -> str:
    """Writes a word letter by letter: `c a t`."""
    return " ".join(word)
