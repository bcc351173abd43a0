"""Pairs of texts that come with packages from PyPI, with Python itself, or out of arithmetic."""

import ast
import importlib.util
import textwrap
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from cutaway.errors import DataError
from cutaway.text import locales, packaged, pronunciation, scripture
from cutaway.text.documents import Document, Split, split_of
from cutaway.text.pairs import Pair

LARGEST_NUMBER = 999
"""The largest number that is added."""

LONGEST_BODY = 1_000
"""The longest body of a function that is described, in characters."""

_VERSIONS = {"king-james": "kjv", "basic-english": "bbe"}


def verse_pairs(split: Split, source: str, target: str) -> Iterator[Pair]:
    """Yields the verses that both versions have, keyed by their chapter."""
    other = scripture.verses(_VERSIONS[target])
    for verse, text in scripture.verses(_VERSIONS[source]).items():
        key = scripture.chapter_key(verse)
        if verse in other and split_of(key) == split:
            yield Pair(source=text, target=other[verse], key=key)


def spoken_pairs(split: Split, source: str, target: str) -> Iterator[Pair]:
    """Yields words with their phonemes, further pronunciations being right, too."""
    for word, variants in pronunciation.all_pronunciations().items():
        if split_of(word) == split:
            spoken = [" ".join(pronunciation.without_stress(sounds)) for sounds in variants]
            first, *others = dict.fromkeys(spoken)
            sides = {"letters": word, "phonemes": first}
            yield Pair(
                source=sides[source],
                target=sides[target],
                key=word,
                others=tuple(others) if target == "phonemes" else (),
            )


def described_functions(split: Split, source: str, target: str) -> Iterator[Pair]:
    """Yields bodies of functions of the standard library and what their docstrings say first."""
    for (body, summary), key in _described().items():
        if split_of(key) == split:
            sides = {"body": body, "docstring": summary}
            yield Pair(source=sides[source], target=sides[target], key=key)


def chinese_pairs(split: Split, source: str, target: str) -> Iterator[Pair]:
    """Yields names of the CLDR and messages of Django in English and in simplified Chinese."""
    seen: set[str] = set()
    for english, chinese, key in _chinese():
        if english not in seen and split_of(key) == split:
            sides = {"en": english, "zh": chinese}
            yield Pair(source=sides[source], target=sides[target], key=key)
        seen.add(english)


def sums(split: Split, source: str, target: str) -> Iterator[Pair]:
    """Yields every sum of two numbers of up to three digits; a + b and b + a stand on one side."""
    for a in range(LARGEST_NUMBER + 1):
        for b in range(LARGEST_NUMBER + 1):
            key = f"{min(a, b)}+{max(a, b)}"
            if split_of(key) == split:
                sides = {"problem": f"{a}+{b}", "sum": str(a + b)}
                yield Pair(source=sides[source], target=sides[target], key=key)


def joined(pairs: Iterator[Pair], *, between: str) -> Iterator[Document]:
    """Yields each pair as one text."""
    for pair in pairs:
        yield Document(text=f"{pair.source}{between}{pair.target}", key=pair.key)


@cache
def _described() -> Mapping[tuple[str, str], str]:
    """Returns body and first line of each function with its file; of equal bodies the first."""
    found: dict[str, tuple[str, str]] = {}
    for split in ("train", "validation"):
        for module in packaged.python_sources(split):
            if not module.key.startswith("help/"):
                for body, summary in _functions(module):
                    found.setdefault(body, (summary, module.key))
    return {(body, summary): key for body, (summary, key) in found.items()}


def _functions(module: Document) -> Iterator[tuple[str, str]]:
    """Yields the body of each function that has a docstring, without it, and its first line."""
    lines = module.text.splitlines()
    try:
        tree = ast.parse(module.text)
    except (SyntaxError, ValueError):
        return  # a file of the library that is not meant to be read
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or len(node.body) < 2:
            continue
        said = (ast.get_docstring(node) or "").strip().split("\n")[0].strip()
        first, last = node.body[1].lineno - 1, node.body[-1].end_lineno
        body = textwrap.dedent("\n".join(lines[first:last])).strip()
        if said and body and len(body) <= LONGEST_BODY and node.body[0].end_lineno != first + 1:
            yield body, said


def _chinese() -> Iterator[tuple[str, str, str]]:
    """Yields English, Chinese and what decides the split: the thing, or the English."""
    for kind in locales.KINDS:
        for name in locales.local_names("zh", kind):
            yield name.english, name.local, name.english
    for further in locales.further_names("zh"):
        yield further.english, further.local, further.thing
    from babel.messages.pofile import read_po

    spec = importlib.util.find_spec("django")
    if spec is None or spec.origin is None:
        raise DataError(
            "this corpus is read from the package django, which is not installed\n"
            "install it: pip install 'cutaway[corpora]'"
        )
    for path in sorted(Path(spec.origin).parent.rglob("locale/zh_Hans/LC_MESSAGES/*.po")):
        with path.open("rb") as file:
            for message in read_po(file):
                # A plural has one form in Chinese: it says what the English plural says.
                english = message.id if isinstance(message.id, str) else message.id[-1]
                said: Any = message.string
                chinese = said if isinstance(said, str) else said[0]
                if english.strip() and chinese.strip() and not message.fuzzy:
                    yield english.strip(), chinese.strip(), english.strip()
