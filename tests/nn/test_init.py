"""Initialisations: the spreads that the papers name, from the given generator alone."""

import math
from typing import Any

import pytest
import torch
from torch import nn

from cutaway.models.catalog import build
from cutaway.nn import init, masks

SIZES = {"vocab_size": 500, "context_length": 64, "width": 128, "num_layers": 4, "num_heads": 2}
GPT = {"architecture": "gpt", **SIZES}
SPEEDRUN = {"architecture": "speedrun", **SIZES, "pair_rows": 300}


def made(sizes: dict[str, Any], *, seed: int = 0) -> nn.Module:
    return build(sizes, generator=torch.Generator().manual_seed(seed))


def spread(model: nn.Module, name: str) -> float:
    return float(model.get_parameter(name).detach().std(correction=0))


def test_gpt_draws_with_the_spread_of_the_paper() -> None:
    model = made(GPT)
    for name in ("embedding.weight", "position.weight", "stack.blocks.1.feedforward.up.weight"):
        assert spread(model, name) == pytest.approx(0.02, rel=0.03)


def test_gpt_draws_what_enters_the_stream_smaller_with_depth() -> None:
    model = made(GPT)
    for name in ("attention.output_projection", "feedforward.down"):
        expected = 0.02 / math.sqrt(2 * 4)
        assert spread(model, f"stack.blocks.2.{name}.weight") == pytest.approx(expected, rel=0.03)


def test_gpt_starts_with_plain_norms_and_no_biases() -> None:
    for name, weight in made(GPT).named_parameters():
        if name.endswith("bias"):
            assert not weight.any(), name
        elif weight.dim() == 1:
            assert (weight == 1).all(), name


def test_fan_in_keeps_the_size_of_what_passes_through() -> None:
    model = made(SPEEDRUN)
    for name in ("attention.query_projection", "feedforward.up"):
        expected = 1 / math.sqrt(3 * 128)
        assert spread(model, f"stack.blocks.0.{name}.weight") == pytest.approx(expected, rel=0.03)


def test_every_block_of_a_fixup_start_is_the_identity() -> None:
    model = made(SPEEDRUN)
    x = torch.randn(2, 5, 128, generator=torch.Generator().manual_seed(1))
    block = model.get_submodule("stack.blocks.3")
    mask = masks.causal(5, documents=None, window=None, device=x.device)
    assert block(x, first=x, mask=mask, positions=torch.arange(5)[None]).equal(x)


@pytest.mark.parametrize("sizes", [GPT, SPEEDRUN], ids=["gpt", "speedrun"])
def test_all_randomness_comes_from_the_generator(sizes: dict[str, Any]) -> None:
    torch.manual_seed(1)
    first = made(sizes, seed=7)
    torch.manual_seed(2)
    second, other = made(sizes, seed=7), made(sizes, seed=8)
    for (name, one), two in zip(first.named_parameters(), second.parameters(), strict=True):
        assert one.equal(two), name
    assert not first.get_parameter("embedding.weight").equal(
        other.get_parameter("embedding.weight")
    )


def test_a_tensor_without_memory_is_left_as_it_is() -> None:
    tensor = torch.empty(3, 3, device="meta")
    init.normal(tensor, spread=1.0, generator=torch.Generator())
    assert tensor.is_meta
