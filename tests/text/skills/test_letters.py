"""Laws of the skills about letters."""

import pytest

from cutaway.text.pronunciation import pronunciations
from cutaway.text.skills.base import last_line, question, reference
from cutaway.text.skills.letters import Correcting, Counting, Reversing, Spelling
from cutaway.text.skills.sounds import edits


def test_spelling_writes_every_letter_once() -> None:
    for example in Spelling().examples("train", seed=0, count=100):
        assert reference(example).split(" ") == list(example.key)


def test_a_copied_word_is_not_spelled() -> None:
    (example,) = Spelling().examples("validation", seed=0, count=1)
    assert Spelling().score(example, example.key).errors == 1


def test_reversing_ends_in_the_reversed_word() -> None:
    for example in Reversing().examples("train", seed=0, count=100):
        letters, backwards = reference(example).splitlines()
        assert letters.split() == list(example.key)
        assert backwards.split() == list(reversed(example.key))


@pytest.mark.parametrize("answer", ["{}", "some steps\n{}\n"])
def test_a_reversed_word_may_stand_together_or_apart(answer: str) -> None:
    (example,) = Reversing().examples("validation", seed=0, count=1)
    backwards = example.key[::-1]
    assert Reversing().score(example, answer.format(backwards)).errors == 0
    assert Reversing().score(example, answer.format(" ".join(backwards))).errors == 0
    assert Reversing().score(example, answer.format(example.key)).errors == 1


def test_counting_ends_in_the_number_of_letters() -> None:
    for example in Counting().examples("train", seed=0, count=300):
        counts = {str(example.key.count(letter)) for letter in question(example)}
        assert last_line(reference(example)) in counts | {str(len(example.key))}


@pytest.mark.parametrize(
    ("answer", "errors"),
    [("p o s1 s2 e s3 s4\n4", 0), ("4", 0), ("3\n4\n", 0), ("p o s\n3", 1), ("4 letters", 1)],
)
def test_only_the_last_line_of_a_count_is_judged(answer: str, errors: int) -> None:
    examples = Counting().examples("train", seed=0, count=1000)
    example = next(one for one in examples if last_line(reference(one)) == "4")
    assert Counting().score(example, answer).errors == errors


def test_a_misspelling_is_one_edit_from_its_word_and_no_word_itself() -> None:
    for example in Correcting().examples("train", seed=0, count=300):
        written = reference(example).splitlines()[0].replace(" ", "")
        assert written in question(example)
        assert written not in pronunciations()
        assert 1 <= edits(written, example.key) <= 2  # Two letters swapped are two edits.
