"""Laws of the questions about the model itself."""

from cutaway.text.skills.base import question, reference
from cutaway.text.skills.identity import Identity


def test_every_answer_is_trained_and_asked_for_in_other_words() -> None:
    train = list(Identity().examples("train", seed=0, count=2000))
    validation = list(Identity().examples("validation", seed=0, count=200))
    assert {reference(one) for one in validation} == {reference(one) for one in train}
    assert {question(one) for one in validation}.isdisjoint(question(one) for one in train)


def test_there_are_enough_questions_to_measure() -> None:
    assert len({one.key for one in Identity().examples("validation", seed=0, count=500)}) >= 50


def test_spaces_do_not_make_an_answer_wrong() -> None:
    (example,) = Identity().examples("validation", seed=0, count=1)
    assert Identity().score(example, f"\n {reference(example)}  ").errors == 0
