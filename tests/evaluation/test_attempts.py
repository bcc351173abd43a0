"""pass@k is the closed form, and the mean over all choices of k tries."""

from itertools import combinations

import pytest

from cutaway.evaluation.attempts import Attempts, pass_at


@pytest.mark.parametrize("right", range(6))
@pytest.mark.parametrize("k", [1, 2, 5])
def test_pass_at_k_is_the_share_of_choices_with_a_right_one(right: int, k: int) -> None:
    chosen = list(combinations(range(5), k))
    share = sum(any(place < right for place in some) for some in chosen) / len(chosen)
    assert pass_at(k, right=right, tries=5) == pytest.approx(share)


def test_over_questions_it_is_the_mean() -> None:
    found = Attempts(tries=4, right=(0, 4, 2))
    assert found.pass_at(1).value == pytest.approx(0.5)
    assert found.pass_at(4).value == pytest.approx(2 / 3)


def test_no_more_answers_are_chosen_than_were_drawn() -> None:
    with pytest.raises(ValueError, match="pass@5 of 4 tries"):
        pass_at(5, right=1, tries=4)
