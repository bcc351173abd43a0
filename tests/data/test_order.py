"""The order visits everything once, and needs to remember nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cutaway.data.order import derived_seed, permuted, permuted_array

sizes = st.integers(1, 400)
seeds = st.integers(0, 2**63)


@settings(deadline=None, derandomize=True)
@given(size=sizes, seed=seeds, epoch=st.integers(0, 10**6))
def test_every_index_comes_exactly_once(size: int, seed: int, epoch: int) -> None:
    order = permuted_array(np.arange(size), size=size, seed=seed, epoch=epoch)
    assert sorted(order.tolist()) == list(range(size))


@settings(deadline=None, derandomize=True)
@given(size=st.integers(1, 2**62), seed=seeds, data=st.data())
def test_the_fast_form_equals_the_plain_form(size: int, seed: int, data: st.DataObject) -> None:
    indices = data.draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=5))
    fast = permuted_array(np.array(indices, dtype=np.int64), size=size, seed=seed, epoch=3)
    assert fast.tolist() == [permuted(index, size=size, seed=seed, epoch=3) for index in indices]


def test_each_epoch_and_each_seed_has_its_own_order() -> None:
    indices = np.arange(1000)
    orders = {
        tuple(permuted_array(indices, size=1000, seed=seed, epoch=epoch).tolist())
        for seed in range(4)
        for epoch in range(4)
    }
    assert len(orders) == 16


def test_the_place_of_an_index_is_spread_evenly() -> None:
    size, seeds = 10, 500
    counts = np.zeros((size, size))
    for seed in range(seeds):
        order = permuted_array(np.arange(size), size=size, seed=seed, epoch=0)
        counts[np.arange(size), order] += 1
    # Each of 100 counts has mean 50 and standard deviation 6.7; five of these are never reached.
    assert np.abs(counts - seeds / size).max() < 5 * 6.7


def test_neighbours_are_unrelated_after_the_shuffle() -> None:
    order = permuted_array(np.arange(100_000), size=100_000, seed=7, epoch=0).astype(float)
    assert abs(np.corrcoef(order[:-1], order[1:])[0, 1]) < 5 / 100_000**0.5


@pytest.mark.parametrize("index", [-1, 5])
def test_an_index_outside_is_refused(index: int) -> None:
    with pytest.raises(ValueError, match="5 items"):
        permuted(index, size=5, seed=0, epoch=0)
    with pytest.raises(ValueError, match="5 items"):
        permuted_array(np.array([0, index]), size=5, seed=0, epoch=0)


def test_no_indices_give_no_places() -> None:
    assert permuted_array(np.zeros(0, dtype=np.int64), size=5, seed=0, epoch=0).tolist() == []


def test_users_of_one_seed_have_seeds_of_their_own() -> None:
    assert len({derived_seed(1, "a"), derived_seed(1, "b"), derived_seed(2, "a")}) == 3
