"""What needs no learning: a copy, a first line, and a dictionary of the training pairs."""

import pytest

from cutaway.evaluation.rivals import Dictionary, rival_texts
from cutaway.text.pairs import Pair

NAMES = {"Germany": "德国", "South": "南", "South Georgia": "南乔治亚", "name": "名称", "of": "的"}


def pairs(said: dict[str, str]) -> list[Pair]:
    return [Pair(source=source, target=target, key=source) for source, target in said.items()]


@pytest.mark.parametrize(
    ("source", "written"),
    [
        ("Germany", "德国"),
        ("south georgia", "南乔治亚"),  # capitals left aside, the longest known words first
        ("South Germany", "南德国"),  # no space where Chinese is written
        ("the islands of South Georgia", "the islands的南乔治亚"),
        ("the other islands", "the other islands"),
        ("The name is %(name)s.", "The名称is %(name)s."),  # what a program fills in is no word
        ("", ""),
    ],
)
def test_a_dictionary_puts_the_longest_known_words_in_their_places(
    source: str, written: str
) -> None:
    assert Dictionary(pairs(NAMES)).written_for(source) == written


def test_a_dictionary_of_a_language_with_spaces_keeps_them() -> None:
    known = Dictionary(pairs({"Hund": "dog", "ein": "a"}))
    assert known.written_for("Ein Hund, ein Vogel") == "a dog, a Vogel"


def test_an_empty_dictionary_copies() -> None:
    assert Dictionary([]).written_for("all of it,\nunchanged") == "all of it,\nunchanged"


def test_each_rival_writes_what_its_name_says() -> None:
    sources = ["def f():\n    return 1", "x"]
    assert rival_texts("copy", sources, training=list) == sources
    assert rival_texts("lead", sources, training=list) == ["def f():", "x"]
    assert rival_texts("dictionary", ["x"], training=lambda: pairs({"x": "y"})) == ["y"]
