"""Alignments beside the formulas of their papers, place by place."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from cutaway.nn.alignment import Additive, Alignment, Concat, Dot, General

MAKERS: dict[str, Callable[[], Alignment]] = {
    "additive": lambda: Additive(5, 4, width=3),
    "concat": lambda: Concat(5, 4, width=3),
    "dot": Dot,
    "general": lambda: General(5, 4),
}
ALIGNMENTS = pytest.mark.parametrize("name", MAKERS)
ALLOWED = torch.arange(6) < torch.tensor([6, 2, 4])[:, None]


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def made(name: str) -> tuple[Alignment, Tensor, Tensor]:
    """An alignment with a query of 3 rows and 2 places and a memory of 6 places."""
    alignment = MAKERS[name]()
    with torch.no_grad():
        for number, weight in enumerate(alignment.parameters()):
            weight.copy_(drawn(*weight.shape, seed=number + 7))
    return alignment, drawn(3, 2, 5), drawn(3, 6, 5 if name == "dot" else 4, seed=1)


def by_the_paper(alignment: Alignment, query: Tensor, place: Tensor) -> Tensor:
    """The score of one query and one place of the source."""
    if isinstance(alignment, Additive):
        asked = alignment.query_projection.weight @ query
        found = alignment.key_projection.weight @ place
        return alignment.score_projection.weight[0] @ torch.tanh(asked + found)
    if isinstance(alignment, Concat):
        both = alignment.pair_projection.weight @ torch.cat([query, place])
        return alignment.score_projection.weight[0] @ torch.tanh(both)
    if isinstance(alignment, General):
        return query @ alignment.key_projection.weight @ place
    return query @ place


@ALIGNMENTS
@torch.no_grad()
def test_a_score_is_that_of_the_paper(name: str) -> None:
    alignment, query, memory = made(name)
    found = alignment.score(query, alignment.keys(memory))
    expected = [
        [[by_the_paper(alignment, asked, place) for place in row] for asked in questions]
        for questions, row in zip(query, memory, strict=True)
    ]
    torch.testing.assert_close(found, torch.tensor(expected))


@ALIGNMENTS
def test_the_context_is_the_weighted_mean_of_the_source(name: str) -> None:
    alignment, query, memory = made(name)
    seen: list[Tensor] = []
    alignment.weights.register_forward_hook(lambda *call: seen.append(call[2]))
    context = alignment(query, keys=alignment.keys(memory), memory=memory, allowed=ALLOWED)
    (weights,) = seen
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(3, 2))
    assert not weights[~ALLOWED[:, None].expand_as(weights)].any()
    torch.testing.assert_close(context, torch.einsum("bqs,bse->bqe", weights, memory))


@ALIGNMENTS
def test_what_the_padding_holds_changes_nothing(name: str) -> None:
    alignment, query, memory = made(name)
    other = torch.where(ALLOWED[..., None], memory, 9.0)
    found = [
        alignment(query, keys=alignment.keys(source), memory=source, allowed=ALLOWED)
        for source in (memory, other)
    ]
    assert found[0].equal(found[1])


def test_concat_is_additive_with_both_matrices_in_one() -> None:
    additive, query, memory = made("additive")
    concat, _, _ = made("concat")
    assert isinstance(additive, Additive)
    assert isinstance(concat, Concat)
    with torch.no_grad():
        both = [additive.query_projection.weight, additive.key_projection.weight]
        concat.pair_projection.weight.copy_(torch.cat(both, dim=1))
        concat.score_projection.weight.copy_(additive.score_projection.weight)
    torch.testing.assert_close(
        concat.score(query, concat.keys(memory)), additive.score(query, additive.keys(memory))
    )


def test_general_with_the_identity_is_dot() -> None:
    general, (_, query, memory) = General(5, 5), made("dot")
    with torch.no_grad():
        general.key_projection.weight.copy_(torch.eye(5))
    torch.testing.assert_close(
        general.score(query, general.keys(memory)), Dot().score(query, memory)
    )


def test_one_place_that_fits_far_better_takes_all() -> None:
    memory = math.sqrt(1000) * torch.eye(4)[None]
    context = Dot()(memory[:, 2:3], keys=memory, memory=memory, allowed=None)
    torch.testing.assert_close(context, memory[:, 2:3])


@pytest.mark.parametrize("name", sorted(MAKERS.keys() - {"dot"}))
def test_gradients_reach_every_weight(name: str) -> None:
    alignment, query, memory = made(name)
    context = alignment(query, keys=alignment.keys(memory), memory=memory, allowed=ALLOWED)
    context.square().sum().backward()
    weights: list[nn.Parameter] = list(alignment.parameters())
    assert all(weight.grad is not None and weight.grad.any() for weight in weights)
