"""Shares are kept exactly, whatever the step at which one looks."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cutaway.data.mixing import Mixing
from cutaway.errors import ConfigError

shares = st.lists(st.floats(0, 1), min_size=1, max_size=6).filter(lambda given: sum(given) > 0.01)


@settings(deadline=None, derandomize=True)
@given(shares=shares, rows=st.integers(1, 64), step=st.integers(0, 10**7))
def test_a_step_takes_exactly_its_rows_and_none_back(
    shares: list[float], rows: int, step: int
) -> None:
    mixing = Mixing(shares=shares, final_shares=shares, rows=rows)
    before, after = mixing.taken(step), mixing.taken(step + 1)
    assert sum(before) == step * rows
    assert sum(after) == (step + 1) * rows
    assert all(a <= b for a, b in zip(before, after, strict=True))


@settings(deadline=None, derandomize=True)
@given(shares=shares, rows=st.integers(1, 64), step=st.integers(0, 10**6))
def test_the_error_never_grows_beyond_one_row_per_source(
    shares: list[float], rows: int, step: int
) -> None:
    taken = Mixing(shares=shares, final_shares=shares, rows=rows).taken(step)
    for count, share in zip(taken, shares, strict=True):
        assert abs(count - step * rows * share / sum(shares)) <= len(shares)


@settings(deadline=None, derandomize=True)
@given(change_steps=st.integers(1, 500), rows=st.integers(1, 64), step=st.integers(0, 600))
def test_a_change_of_shares_takes_no_row_back(change_steps: int, rows: int, step: int) -> None:
    mixing = Mixing(
        shares=[1.0, 0.0, 2.0], final_shares=[0.0, 1.0, 2.0], rows=rows, change_steps=change_steps
    )
    before, after = mixing.taken(step), mixing.taken(step + 1)
    assert sum(after) - sum(before) == rows
    assert all(a <= b for a, b in zip(before, after, strict=True))


def test_half_of_a_linear_change_takes_the_mean_of_the_shares() -> None:
    mixing = Mixing(shares=[1.0, 0.0], final_shares=[0.0, 1.0], rows=10, change_steps=1000)
    # Ten rows a step from a share that falls from 1 to 0: 5,000 in all, three quarters before the
    # middle. One row may be missing in each of 64 stages.
    assert mixing.taken(500)[0] == pytest.approx(3750, abs=64)
    assert mixing.taken(1000)[0] == pytest.approx(5000, abs=64)
    assert mixing.taken(2000)[0] == mixing.taken(1000)[0]


def test_a_source_alone_gives_every_row() -> None:
    assert Mixing(shares=[0.0, 0.3, 0.0], final_shares=[0.0, 0.3, 0.0], rows=7).taken(11) == [
        0,
        77,
        0,
    ]


@pytest.mark.parametrize("shares", [[], [0.0], [-1.0, 2.0], [float("nan")], [float("inf")]])
def test_shares_that_cannot_be_mixed_are_refused(shares: list[float]) -> None:
    with pytest.raises(ConfigError, match=r"cannot be mixed|no sources"):
        Mixing(shares=shares, final_shares=shares, rows=1)
