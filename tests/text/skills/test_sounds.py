"""Laws of the skills about sounds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cutaway.text.pronunciation import pronunciations, rhyme_parts
from cutaway.text.skills.base import last_line, reference
from cutaway.text.skills.sounds import Pronunciation, Rhymes, edits

WORDS = st.text(alphabet="abc", max_size=6)


def test_a_pronunciation_follows_the_letters() -> None:
    for example in Pronunciation().examples("train", seed=0, count=100):
        letters, sounds = reference(example).splitlines()
        assert letters.split() == list(example.key)
        assert tuple(sounds.split()) == pronunciations()[example.key]


def test_each_wrong_phoneme_is_one_error() -> None:
    (example,) = Pronunciation().examples("validation", seed=0, count=1)
    sounds = reference(example).splitlines()[-1].split()
    score = Pronunciation().score(example, " ".join([*sounds[:-1], "ZH", "ZH"]))
    assert (score.errors, score.length) == (2, len(sounds))


def test_an_empty_answer_misses_every_phoneme() -> None:
    (example,) = Pronunciation().examples("validation", seed=0, count=1)
    score = Pronunciation().score(example, "")
    assert score.errors == score.length


@given(left=WORDS, right=WORDS)
def test_edits_are_a_distance(left: str, right: str) -> None:
    assert edits(left, right) == edits(right, left)
    assert (edits(left, right) == 0) == (left == right)
    assert abs(len(left) - len(right)) <= edits(left, right) <= max(len(left), len(right))


@pytest.mark.parametrize(
    ("left", "right", "count"), [("kitten", "sitting", 3), ("", "abc", 3), ("flaw", "lawn", 2)]
)
def test_edits_of_known_words(left: str, right: str, count: int) -> None:
    assert edits(left, right) == count


def test_a_rhyme_ends_alike_and_begins_otherwise() -> None:
    for example in Rhymes().examples("train", seed=0, count=200):
        word = last_line(reference(example))
        assert rhyme_parts()[word] == rhyme_parts()[example.key]
        assert pronunciations()[word] != pronunciations()[example.key]


@pytest.mark.parametrize(("answer", "errors"), [("{}", 1), ("qqqq", 1), ("cat", 1)])
def test_a_word_does_not_rhyme_with_itself_or_with_nothing(answer: str, errors: int) -> None:
    examples = Rhymes().examples("validation", seed=0, count=100)
    example = next(one for one in examples if rhyme_parts()[one.key] != rhyme_parts()["cat"])
    assert Rhymes().score(example, answer.format(example.key)).errors == errors
