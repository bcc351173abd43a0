"""Laws of addition and subtraction."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cutaway.text.skills.arithmetic import Addition, Subtraction, pair_key, pair_split
from cutaway.text.skills.base import Skill, last_line, question, reference

SKILLS = pytest.mark.parametrize("skill", [Addition(), Subtraction()], ids=["add", "subtract"])


@SKILLS
def test_every_step_is_true(skill: Skill) -> None:
    for example in skill.examples("train", seed=0, count=500):
        for step in reference(example).splitlines()[:-1]:
            assert re.fullmatch(r"\d+( [+-] \d+)+ = \d+", step)
            left, right = step.split(" = ")
            terms = re.findall(r"([+-]? ?)(\d+)", left)
            assert sum(-int(n) if "-" in sign else int(n) for sign, n in terms) == int(right)


@SKILLS
def test_the_last_line_is_the_result(skill: Skill) -> None:
    sign = 1 if skill.name == "addition" else -1
    for example in skill.examples("train", seed=1, count=500):
        small, large = map(int, example.key.split(","))
        assert int(last_line(reference(example))) == large + sign * small


@SKILLS
def test_validation_asks_about_numbers_of_two_digits(skill: Skill) -> None:
    for example in skill.examples("validation", seed=0, count=200):
        assert all(len(number) == 2 for number in re.findall(r"\d+", question(example)))


@given(first=st.integers(0, 999), second=st.integers(0, 999))
def test_a_pair_has_the_same_split_in_either_order(first: int, second: int) -> None:
    assert pair_key(first, second) == pair_key(second, first)
    assert pair_split(first, second) == pair_split(second, first)


@given(first=st.integers(0, 9), second=st.integers(0, 9))
def test_sums_of_single_digits_are_always_trained(first: int, second: int) -> None:
    assert pair_split(first, second) == "train"


def test_a_tenth_of_the_pairs_of_two_digits_is_held_out() -> None:
    splits = [pair_split(one, two) for one in range(10, 100) for two in range(one, 100)]
    assert splits.count("validation") / len(splits) == pytest.approx(0.1, abs=0.01)
