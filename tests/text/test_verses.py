"""A poem has a form where each of its clauses has as many Chinese characters as that form says."""

import pytest

from cutaway.text.verses import clauses, form_of, is_in_form, lines

FIVE = "秦川雄帝宅，函谷壯皇居。\n綺殿千尋起，離宮百雉餘。"
SEVEN = "白日依山盡未歸，黃河入海流不回？"


def test_lines_and_clauses_are_what_stands_between_their_ends() -> None:
    assert lines(FIVE + "\n\n") == ["秦川雄帝宅，函谷壯皇居。", "綺殿千尋起，離宮百雉餘。"]
    assert clauses(FIVE) == ["秦川雄帝宅", "函谷壯皇居", "綺殿千尋起", "離宮百雉餘"]
    assert clauses("，。\n") == []


@pytest.mark.parametrize(
    ("poem", "form"),
    [
        (FIVE, "five"),
        (SEVEN, "seven"),
        (f"{FIVE}\n{SEVEN}", None),
        ("秦川[一]，函谷壯皇居。", None),
        ("", None),
    ],
)
def test_a_form_is_that_of_every_clause(poem: str, form: str | None) -> None:
    assert form_of(poem) == form


@pytest.mark.parametrize(
    ("clause", "is_in"),
    [("秦川雄帝宅", True), ("秦川雄帝", False), ("fives", False), ("秦川雄帝?", False)],
)
def test_a_clause_of_another_length_or_alphabet_is_not_in_form(clause: str, is_in: bool) -> None:
    assert is_in_form(clause, "five") == is_in
    assert not is_in_form(clause, "seven")
