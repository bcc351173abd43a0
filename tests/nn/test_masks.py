"""Masks, each cell by brute force."""

from itertools import product

import pytest
import torch

from cutaway.nn import masks

CPU = torch.device("cpu")
DOCUMENTS = torch.tensor([[1, 1, 1, 2, 2, 0, 0], [1, 2, 3, 3, 3, 3, 3]])


def dense(mask: masks.Mask, queries: int, keys: int) -> torch.Tensor:
    allowed = mask.dense(queries, keys, device=CPU)
    return torch.ones(1, 1, queries, keys, dtype=torch.bool) if allowed is None else allowed


@pytest.mark.parametrize("window", [None, 1, 3, 7, 20])
@pytest.mark.parametrize("documents", [None, DOCUMENTS])
def test_a_query_reads_the_last_tokens_of_its_own_document(
    window: int | None, documents: torch.Tensor | None
) -> None:
    allowed = dense(masks.causal(7, documents=documents, window=window, device=CPU), 7, 7)
    for row, query, key in product(range(len(allowed)), range(7), range(7)):
        expected = key <= query and (window is None or query - key < window)
        if documents is not None:
            expected &= bool(documents[row, query] == documents[row, key])
        assert allowed[row, 0, query, key] == expected


def test_a_mask_that_a_kernel_knows_is_not_written_down() -> None:
    for window in (None, 7):
        mask = masks.causal(7, documents=None, window=window, device=CPU)
        assert mask.allowed is None
        assert mask.is_causal


@pytest.mark.parametrize("window", [None, 1, 4])
def test_a_query_reads_the_slots_of_the_cache_up_to_its_own(window: int | None) -> None:
    positions = torch.tensor([[5, 6], [0, 1], [3, 4]])
    allowed = dense(masks.cached(positions, keys=9, window=window), 2, 9)
    for row, query, slot in product(range(3), range(2), range(9)):
        position = int(positions[row, query])
        expected = slot <= position and (window is None or position - slot < window)
        assert allowed[row, 0, query, slot] == expected


def test_a_bidirectional_query_reads_its_whole_document() -> None:
    allowed = dense(masks.bidirectional(documents=DOCUMENTS), 7, 7)
    for row, query, key in product(range(2), range(7), range(7)):
        assert allowed[row, 0, query, key] == (DOCUMENTS[row, query] == DOCUMENTS[row, key])
    assert dense(masks.bidirectional(documents=None), 7, 7).all()


def test_every_query_reads_something() -> None:
    for mask in (
        masks.causal(7, documents=DOCUMENTS, window=1, device=CPU),
        masks.bidirectional(documents=DOCUMENTS),
    ):
        assert dense(mask, 7, 7).any(dim=-1).all()


@pytest.mark.parametrize(("queries", "keys"), [(1, 6), (3, 6), (6, 6)])
def test_the_last_query_stands_at_the_last_key(queries: int, keys: int) -> None:
    whole = masks.triangle(keys, keys, window=2, device=CPU)
    assert masks.triangle(queries, keys, window=2, device=CPU).equal(whole[keys - queries :])
