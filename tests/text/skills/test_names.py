"""Laws of names and dates."""

import datetime

import pytest

from cutaway.text.skills.base import question, reference
from cutaway.text.skills.names import LANGUAGES, THINGS, Dates, Names, facts


def test_every_language_has_every_name() -> None:
    wanted = sum(len(codes) for codes in THINGS.values())
    assert {locale: len(facts(locale)) for locale in LANGUAGES} == dict.fromkeys(LANGUAGES, wanted)


def test_validation_asks_trained_names_in_wordings_that_are_never_trained() -> None:
    def wordings(split: str) -> set[str]:
        examples = Names().examples(split, seed=0, count=1000)  # type: ignore[arg-type]
        return {one.key.split("|")[2] for one in examples}

    assert wordings("train").isdisjoint(wordings("validation"))
    assert len(wordings("validation")) >= 3


def test_a_date_is_given_in_any_form_and_answered_in_one() -> None:
    for example in Dates().examples("train", seed=0, count=300):
        assert datetime.date.fromisoformat(reference(example)).isoformat() == example.key
        assert example.key not in question(example)
        assert example.key[:4] in question(example)


def test_dates_are_asked_in_several_languages() -> None:
    asked = " ".join(question(one) for one in Dates().examples("train", seed=0, count=2000))
    for word in ("March", "März", "mars", "marzo", "maart", "3月", "Samstag", "samedi"):
        assert word in asked


@pytest.mark.parametrize("answer", ["1998-3-4", "1998-03-05", "4.3.1998"])
def test_another_form_of_a_date_is_wrong(answer: str) -> None:
    (example,) = Dates().examples("validation", seed=0, count=1)
    assert Dates().score(example, answer).errors == 1
