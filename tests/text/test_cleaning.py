"""Cleaning leaves each text once, in one form, and counts what it leaves out."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cutaway.errors import ConfigError
from cutaway.text.cleaning import Cleaner, Rules, normalised, unique
from cutaway.text.documents import Document, content_key


def documents(*texts: str) -> list[Document]:
    return [Document(text=text, key=content_key(text)) for text in texts]


texts = st.text(st.characters(codec="utf-8"))


@settings(deadline=None, derandomize=True)
@given(text=texts)
def test_normalising_twice_changes_nothing_more(text: str) -> None:
    once = normalised(text)
    assert normalised(once) == once
    assert unicodedata.is_normalized("NFC", once)


def test_one_form_is_left_of_accents_line_ends_and_control_characters() -> None:
    assert normalised("cafe\u0301\r\nbar\tbaz\x1b[0m\x00\x7f") == "caf\u00e9\nbar\tbaz[0m"


@settings(deadline=None, derandomize=True)
@given(given=st.lists(st.sampled_from("abcde"), max_size=20))
def test_each_text_stays_once_at_its_first_place(given: list[str]) -> None:
    left = [document.text for document in unique(documents(*given))]
    assert left == list(dict.fromkeys(given))


def test_what_is_left_out_is_counted_by_its_reason() -> None:
    cleaner = Cleaner(Rules(least_characters=2, most_characters=5))
    left = cleaner.clean(documents("caf\u00e9", "cafe\u0301", "a", "far too long", "tea"))
    assert [document.text for document in left] == ["caf\u00e9", "tea"]
    assert (cleaner.num_kept, cleaner.num_duplicates) == (2, 1)
    assert (cleaner.num_too_short, cleaner.num_too_long) == (1, 1)


def test_a_duplicate_is_found_across_files() -> None:
    cleaner = Cleaner(Rules())
    assert len(list(cleaner.clean(documents("one", "two")))) == 2
    assert list(cleaner.clean(documents("two"))) == []


@pytest.mark.parametrize(("least", "most"), [(-1, None), (5, 4)])
def test_lengths_that_contradict_each_other_are_refused(least: int, most: int | None) -> None:
    with pytest.raises(ConfigError, match="characters cannot be"):
        Rules(least_characters=least, most_characters=most)
