"""The words that skills ask about, and their one split: a held-out word is trained on nowhere."""

from collections.abc import Sequence
from functools import cache

from cutaway.text.documents import Split, split_of
from cutaway.text.pronunciation import LONGEST, SHORTEST, plain_words, pronunciations

COMMON = 4000  # words that both versions of the Bible use most


@cache
def words_of(split: Split) -> Sequence[str]:
    """Returns the plain words of a split, the commonest first."""
    return tuple(word for word in plain_words() if split_of(word) == split)


@cache
def common_words(split: Split) -> Sequence[str]:
    """Returns the commonest plain words of a split."""
    return tuple(word for word in plain_words()[:COMMON] if split_of(word) == split)


@cache
def dictionary_words(split: Split) -> Sequence[str]:
    """Returns every word of the dictionary that is as long as plain words, names included."""
    return tuple(
        word
        for word in pronunciations()
        if SHORTEST <= len(word) <= LONGEST and split_of(word) == split
    )


def spelled(word: str) -> str:
    """Writes a word letter by letter: `c a t`."""
    return " ".join(word)
