"""Packing loses nothing, overfills nothing and wastes little."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cutaway.data.packing import Packing, pack


def loads(packing: Packing, lengths: np.ndarray) -> list[int]:
    """Counts the tokens of each row."""
    bounds = zip(packing.starts[:-1], packing.starts[1:], strict=True)
    return [int(lengths[packing.examples[begin:end]].sum()) for begin, end in bounds]


@settings(deadline=None, derandomize=True)
@given(lengths=st.lists(st.integers(1, 32), max_size=200), seed=st.integers(0, 2**32))
def test_every_example_lies_whole_in_exactly_one_row(lengths: list[int], seed: int) -> None:
    array = np.array(lengths, dtype=np.int64)
    packing = pack(array, row_length=32, seed=seed)
    assert sorted(packing.examples.tolist()) == list(range(len(lengths)))
    assert all(0 < load <= 32 for load in loads(packing, array))
    assert packing.num_tokens == sum(lengths)


@settings(deadline=None, derandomize=True)
@given(lengths=st.lists(st.integers(1, 32), max_size=200))
def test_any_two_rows_together_hold_more_than_one_row(lengths: list[int]) -> None:
    array = np.array(lengths, dtype=np.int64)
    two = sorted(loads(pack(array, row_length=32), array))[:2]
    assert len(two) < 2 or sum(two) > 32


def test_an_example_goes_into_the_fullest_row_that_holds_it() -> None:
    # Whatever the order, both sevens share no row, so the three and the two each top one up.
    packing = pack(np.array([7, 7, 3, 3]), row_length=10)
    assert packing.num_rows == 2
    assert packing.fill == 1.0


def test_short_examples_fill_the_rows_to_98_percent() -> None:
    lengths = np.random.default_rng(0).integers(8, 60, 5000)
    assert pack(lengths, row_length=256).fill > 0.98


def test_other_seeds_put_other_examples_together() -> None:
    lengths = np.random.default_rng(0).integers(8, 60, 100)
    first, second = (pack(lengths, row_length=256, seed=seed) for seed in (0, 1))
    assert first.examples.tolist() != second.examples.tolist()


@pytest.mark.parametrize("length", [0, 11])
def test_an_example_that_fits_no_row_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="a row takes 1 to 10"):
        pack(np.array([5, length]), row_length=10)
