"""The cache's bookkeeping: lengths, rows that leave, and what does not fit."""

import pytest
import torch
from torch import Tensor

from cutaway.nn.cache import BeamCache, KeyValueCache


def cache_of(rows: int, length: int) -> KeyValueCache:
    return KeyValueCache(layers=2, rows=rows, length=length, key_value_heads=1, head_width=2)


def numbered(rows: int, tokens: int, *, start: float) -> Tensor:
    """Keys that tell their row, in tens, and their place."""
    places = start + torch.arange(tokens) + 10.0 * torch.arange(rows)[:, None]
    return places[:, None, :, None].expand(rows, 1, tokens, 2).clone()


def test_what_was_stored_comes_back_in_order() -> None:
    cache = cache_of(2, 5)
    cache.layer(0).append(numbered(2, 3, start=0), numbered(2, 3, start=0))
    cache.advance(3)
    keys, values = cache.layer(0).append(numbered(2, 1, start=3), -numbered(2, 1, start=3))
    assert keys[1, 0, :, 0].tolist() == [10, 11, 12, 13]
    assert values[0, 0, :, 0].tolist() == [0, 1, 2, -3]


def test_a_short_row_goes_on_at_its_own_end() -> None:
    cache = cache_of(2, 6)
    cache.layer(1).append(numbered(2, 3, start=0), numbered(2, 3, start=0))
    cache.advance(torch.tensor([3, 1]))
    assert cache.positions(2).tolist() == [[3, 4], [1, 2]]
    keys, _ = cache.layer(1).append(numbered(2, 2, start=5), numbered(2, 2, start=5))
    assert keys[0, 0, :, 0].tolist() == [0, 1, 2, 5, 6]
    assert keys[1, 0, :3, 0].tolist() == [10, 15, 16]


def test_kept_rows_come_in_the_order_asked_for_and_may_repeat() -> None:
    cache = cache_of(3, 4)
    cache.layer(0).append(numbered(3, 2, start=0), numbered(3, 2, start=0))
    cache.advance(torch.tensor([2, 1, 2]))
    cache.keep([2, 0, 2])
    assert cache.lengths.tolist() == [2, 2, 2]
    assert cache.is_even
    keys, _ = cache.layer(0).append(numbered(3, 1, start=7), numbered(3, 1, start=7))
    assert keys[:, 0, 0, 0].tolist() == [20, 0, 20]
    cache.keep([])
    assert cache.longest == 0


def test_the_ids_before_each_token_are_found_across_calls() -> None:
    cache = cache_of(2, 6)
    cache.remember(torch.tensor([[4, 5, 6], [7, 8, 9]]), count=2)
    cache.advance(torch.tensor([3, 2]))
    before = cache.remember(torch.tensor([[1, 2], [3, 4]]), count=2)
    assert before.tolist() == [[[6, 5], [1, 6]], [[8, 7], [3, 8]]]


def test_there_is_no_id_before_the_first() -> None:
    before = cache_of(1, 4).remember(torch.tensor([[5, 6, 7]]), count=2)
    assert before.tolist() == [[[-1, -1], [5, -1], [6, 5]]]


def test_a_token_too_many_is_refused_with_the_numbers() -> None:
    cache = cache_of(1, 4)
    cache.advance(3)
    cache.require(1)
    with pytest.raises(ValueError, match="cache holds 4 tokens, but token 5 was added"):
        cache.require(2)


def test_what_lies_beyond_the_end_of_kept_rows_is_a_number() -> None:
    """A row that stays shorter is read with it at a weight of 0, which leaves NaN as it is."""
    cache = cache_of(2, 4)
    tensor = torch.zeros(2, 1, 1, 2)
    for layer in range(2):
        cache.layer(layer).append(tensor, tensor)
    cache.advance(1)
    torch.use_deterministic_algorithms(True)  # fills memory that nobody has written with NaN
    try:
        cache.keep([1, 0])
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(slots.isfinite().all() for slots in (*cache.keys, *cache.values))


def test_a_beam_reads_what_the_rows_that_it_goes_on_from_have_written() -> None:
    generator = torch.Generator().manual_seed(1)
    cache = BeamCache(layers=1, rows=4, length=6, key_value_heads=2, head_width=3)
    written = torch.zeros(4, 2, 0, 3)
    for rows in ([0, 0, 3, 2], [3, 1, 1, 0], [2, 3], [1, 1], [0, 1]):
        key = torch.randn(len(written), 2, 1, 3, generator=generator)
        written = torch.cat([written, key], dim=2)
        keys, values = cache.layer(0).append(key, -key)
        assert keys.equal(written)
        assert values.equal(-written)
        cache.advance(1)
        cache.keep(torch.tensor(rows))
        written = written[torch.tensor(rows)]


def test_a_beam_too_long_is_refused_with_the_numbers() -> None:
    cache = BeamCache(layers=1, rows=1, length=4, key_value_heads=1, head_width=2)
    cache.advance(4)
    with pytest.raises(ValueError, match="cache holds 4 tokens, but token 5 was added"):
        cache.require(1)
