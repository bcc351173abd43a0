"""Attention beside its formula written with loops, and beside torch's own module."""

import math

import pytest
import torch
from torch import Tensor, nn

from cutaway.nn import masks
from cutaway.nn.attention import Attention, Fused, WrittenOut, use_kernel
from cutaway.nn.masks import Mask
from cutaway.nn.norm import UnitRMSNorm
from cutaway.nn.position import Rotary

CPU = torch.device("cpu")
CAUSAL = masks.causal(6, documents=None, window=None, device=CPU)
PLACES = torch.arange(6)[None]


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def filled(attention: Attention, *, seed: int = 1) -> Attention:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in attention.parameters():
            weight.normal_(0.0, 0.5, generator=generator)
    return attention


@pytest.mark.parametrize("kernel", [WrittenOut, Fused])
@pytest.mark.parametrize("window", [None, 2])
def test_each_output_is_the_weighted_mean_of_the_values(
    kernel: type[nn.Module], window: int | None
) -> None:
    query, key, value = (drawn(2, 3, 6, 4, seed=seed) for seed in range(3))
    mask = masks.causal(6, documents=None, window=window, device=CPU)
    mixed = kernel()(query, key, value, mask=mask)
    for batch, head, place in ((0, 0, 0), (0, 2, 3), (1, 1, 5)):
        first = 0 if window is None else max(0, place - window + 1)
        exponents = [
            math.exp(float(query[batch, head, place] @ key[batch, head, other]) / math.sqrt(4))
            for other in range(first, place + 1)
        ]
        expected = sum(
            weight / sum(exponents) * value[batch, head, other]
            for other, weight in enumerate(exponents, start=first)
        )
        torch.testing.assert_close(mixed[batch, head, place], expected)


def test_attention_equals_the_one_of_torch() -> None:
    ours = filled(Attention(12, 3, bias=True, output_bias=True))
    theirs = nn.MultiheadAttention(12, 3, batch_first=True)
    projections = (ours.query_projection, ours.key_projection, ours.value_projection)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([each.weight for each in projections]))
        theirs.in_proj_bias.copy_(torch.cat([each.bias for each in projections]))
        theirs.out_proj.load_state_dict(ours.output_projection.state_dict())
    x = drawn(2, 6, 12)
    expected, weights = theirs(
        x, x, x, attn_mask=~torch.ones(6, 6).tril().bool(), average_attn_weights=False
    )
    use_kernel(ours, WrittenOut)
    seen: list[Tensor] = []
    ours.get_submodule("kernel.weights").register_forward_hook(lambda *call: seen.append(call[2]))
    torch.testing.assert_close(ours(x, mask=CAUSAL, positions=PLACES), expected)
    torch.testing.assert_close(seen[0], weights)


def test_weights_are_probabilities() -> None:
    kernel, seen = WrittenOut(), []
    kernel.weights.register_forward_hook(lambda *call: seen.append(call[2]))
    kernel(drawn(2, 3, 6, 4), drawn(2, 3, 6, 4, seed=1), drawn(2, 3, 6, 4), mask=CAUSAL)
    torch.testing.assert_close(seen[0].sum(dim=-1), torch.ones(2, 3, 6))
    assert (seen[0].triu(1) == 0).all()


def test_equal_scores_give_the_mean_of_all_values_before() -> None:
    value = drawn(1, 1, 6, 4)
    mixed = Fused()(torch.zeros(1, 1, 6, 4), drawn(1, 1, 6, 4, seed=1), value, mask=CAUSAL)
    expected = value.cumsum(dim=2) / torch.arange(1, 7)[:, None]
    torch.testing.assert_close(mixed, expected)


def test_grouped_heads_share_keys_and_values_as_copied_heads_would() -> None:
    grouped = filled(Attention(12, 6, num_key_value_heads=2, rotary=Rotary(6, 2)))
    full = filled(Attention(12, 6, rotary=Rotary(6, 2)))
    with torch.no_grad():
        full.query_projection.weight.copy_(grouped.query_projection.weight)
        full.output_projection.weight.copy_(grouped.output_projection.weight)
        for name in ("key_projection", "value_projection"):
            shared = grouped.get_submodule(name).weight.view(2, 2, 12)  # type: ignore[union-attr, operator]
            copied = shared.repeat_interleave(3, dim=0).reshape(12, 12)
            full.get_submodule(name).weight.copy_(copied)  # type: ignore[union-attr, operator]
    x = drawn(2, 6, 12)
    torch.testing.assert_close(
        grouped(x, mask=CAUSAL, positions=PLACES), full(x, mask=CAUSAL, positions=PLACES)
    )


def test_norms_of_queries_and_keys_bound_the_scores() -> None:
    attention = filled(Attention(12, 3, query_norm=UnitRMSNorm(), key_norm=UnitRMSNorm()))
    use_kernel(attention, WrittenOut)
    seen: list[Tensor] = []
    scores = attention.get_submodule("kernel.scores")
    scores.register_forward_hook(lambda *call: seen.append(call[2]))
    attention(100 * drawn(2, 6, 12), mask=CAUSAL, positions=PLACES)
    visible = seen[0][seen[0] > -math.inf]
    assert visible.abs().max() <= math.sqrt(4) + 1e-5


def test_without_positions_attention_does_not_know_the_order() -> None:
    attention = filled(Attention(12, 3))
    everything = Mask(allowed=None, is_causal=False)
    x, order = drawn(2, 6, 12), torch.tensor([4, 0, 5, 2, 1, 3])
    torch.testing.assert_close(
        attention(x[:, order], mask=everything, positions=PLACES),
        attention(x, mask=everything, positions=PLACES)[:, order],
    )


def test_heads_that_cannot_be_shared_are_refused() -> None:
    with pytest.raises(ValueError, match="6 query heads cannot share 4 key/value heads"):
        Attention(12, 6, num_key_value_heads=4)
