"""What the speedrun decoder has beside the common parts: groups, spelling, capped logits."""

from typing import Any

import pytest
import torch

from cutaway.models.catalog import build
from cutaway.models.speedrun import TokenGroups, TokenSpelling, tokens_before
from tests import laws


@pytest.mark.parametrize("documents", [None, [[1, 1, 1, 2, 2, 3], [1, 1, 1, 1, 0, 0]]])
def test_the_tokens_before_are_those_of_the_same_document(
    documents: list[list[int]] | None,
) -> None:
    tokens = torch.tensor([[5, 6, 7, 8, 9, 4], [1, 2, 3, 4, 5, 6]])
    found = tokens_before(
        tokens, documents=None if documents is None else torch.tensor(documents), count=3
    )
    for row in range(2):
        for place in range(6):
            for distance in range(1, 4):
                other = place - distance
                is_seen = other >= 0 and (
                    documents is None or documents[row][other] == documents[row][place]
                )
                expected = int(tokens[row, other]) if is_seen else -1
                assert found[row, place, distance - 1] == expected


def test_more_tokens_before_than_there_are_is_no_error() -> None:
    assert tokens_before(torch.tensor([[5]]), documents=None, count=2).tolist() == [[[-1, -1]]]


def test_a_group_is_known_by_all_of_its_tokens_in_their_order() -> None:
    groups = TokenGroups(size=3, rows=10_007, table_width=4, width=4)
    with torch.no_grad():
        groups.projection.weight.copy_(torch.eye(4))
        groups.table.weight.normal_(generator=torch.Generator().manual_seed(0))

    def vector(*tokens: int) -> torch.Tensor:
        ids = torch.tensor([tokens])
        return groups(ids, before=tokens_before(ids, documents=None, count=2))[0, -1]

    assert vector(3, 1, 2).equal(vector(9, 3, 1, 2))
    others = [(3, 1, 4), (3, 5, 2), (6, 1, 2), (1, 3, 2), (1, 2)]
    assert all(not vector(3, 1, 2).equal(vector(*other)) for other in others)


def test_tokens_that_begin_alike_share_what_their_first_bytes_say() -> None:
    spelling = TokenSpelling(vocab_size=4, places=3, table_width=4, width=4)
    spelling.tell([b" then", b"the", b"thy", b"a"])
    with torch.no_grad():
        spelling.table.weight.normal_(generator=torch.Generator().manual_seed(0))
        spelling.projection.weight.copy_(torch.eye(4))
    then, the, thy, a = spelling(torch.tensor([[0, 1, 2, 3]]))[0]
    assert then.equal(the)
    assert not the.equal(thy)
    table = spelling.table.weight.view(3, 257, 4)
    expected = table[0, ord("a")] + table[1, 256] + table[2, 256]
    torch.testing.assert_close(a, expected)


def test_spelling_that_a_damaged_file_holds_stays_in_the_table() -> None:
    spelling = TokenSpelling(vocab_size=2, places=2, table_width=4, width=4)
    with torch.no_grad():
        spelling.bytes.copy_(torch.tensor([[-5, 10**9], [0, 256]]))
    assert spelling(torch.tensor([[0, 1]])).isfinite().all()


def test_logits_stay_under_their_cap() -> None:
    model: Any = laws.toy("speedrun")
    with torch.no_grad():
        model.unembedding.weight.mul_(1e4)
    logits = model(laws.ids(2, 8))
    assert logits.abs().max() <= 15.0
    assert logits.abs().max() > 14.0


def test_a_new_model_finds_every_token_equally_likely() -> None:
    for name in ("speedrun", "speedrun with groups"):
        assert not build(laws.DECODERS[name])(laws.ids(2, 8)).any()
