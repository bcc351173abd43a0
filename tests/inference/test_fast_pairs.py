"""The fast form of every encoder-decoder: equal to the plain one on the same rounded weights."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from cutaway.inference.beam import BeamSearch, Likeliest, beam_search, likeliest
from cutaway.inference.fast_pairs import NativeCrossStack, NativeLikeliest, accelerate_pair
from cutaway.inference.native import build
from cutaway.inference.quantize import FORMATS, WeightFormat, rounded
from cutaway.models.catalog import build as build_model
from tests import pair_laws

LAWS = [pair_laws.cached_equals_uncached, pair_laws.rows_of_a_cache_may_change_places]

needs_compiler = pytest.mark.skipif(
    build.find_compiler() is None, reason="no C++ compiler: there is no fast form here"
)


def fast(model: Any, weights: WeightFormat = "fp32") -> Any:
    """The fast form, which must be one."""
    found = accelerate_pair(model, weights=weights)
    assert found.is_native, found.reason
    return found.model


def wide(activation: str) -> Any:
    """A model with more than one panel of outputs, and a rest, in every product."""
    sizes = {"vocab_size": 203, "context_length": 40, "width": 96, "num_layers": 2}
    return build_model(
        {"architecture": "transformer", **sizes, "num_heads": 3, "hidden_width": 150}
        | {"activation": activation},
        generator=torch.Generator().manual_seed(5),
    ).eval()


@needs_compiler
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("weights", FORMATS)
@pytest.mark.parametrize("name", pair_laws.MODELS)
def test_every_law_of_the_cache_holds(
    name: str, weights: WeightFormat, law: Callable[[Any], None]
) -> None:
    with torch.no_grad():
        law(fast(pair_laws.toy(name), weights))


@needs_compiler
@pytest.mark.parametrize("activation", ["relu", "silu", "gelu_tanh"])
def test_sizes_that_fill_no_whole_panel_give_the_logits_of_the_plain_form(activation: str) -> None:
    model = wide(activation)
    quick = fast(model)
    assert isinstance(quick.stack, NativeCrossStack)
    generator = torch.Generator().manual_seed(6)
    source = torch.randint(203, (30, 21), generator=generator)
    tokens = torch.randint(203, (300, 23), generator=generator)
    documents = (torch.arange(21) < torch.randint(1, 22, (30, 1), generator=generator)).long()
    with torch.no_grad():
        memory = model.encode(source, documents=documents)
        cache = quick.new_cache(300, 23)
        first = quick.decode(tokens[:, :20], memory, cache=cache)
        rest = [quick.decode(tokens[:, at : at + 1], memory, cache=cache) for at in (20, 21, 22)]
        found, expected = torch.cat([first, *rest], dim=1), model.decode(tokens, memory)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


@needs_compiler
@pytest.mark.parametrize("weights", FORMATS)
@pytest.mark.parametrize("name", pair_laws.MODELS)
def test_beam_search_finds_the_targets_of_the_plain_form(name: str, weights: WeightFormat) -> None:
    model = pair_laws.toy(name)
    search = BeamSearch(beams=3, max_tokens=12)
    sources = [[1, 2, 3, 9, 4], [5], [8, 8, 2], [4, 6, 1, 1, 1, 1, 2], [9, 9]]

    def targets(model: Any, choose: Likeliest) -> list[list[list[int]]]:
        found = beam_search(model, sources, search=search, begin_id=7, end_id=3, choose=choose)
        return [[one.ids for one in each] for each in found]

    quick = accelerate_pair(model, weights=weights)
    assert targets(quick.model, quick.choose) == targets(
        rounded(model, weights=weights),  # type: ignore[arg-type]
        likeliest,
    )


@needs_compiler
@pytest.mark.parametrize("width", [9, 16, 203, 8000])
def test_the_likeliest_are_those_of_the_plain_form(width: int) -> None:
    logits = 20 * torch.randn(130, width, generator=torch.Generator().manual_seed(3))
    logits[:, 2::5] = -torch.inf
    library = build.load().library
    assert library is not None
    found, tokens = NativeLikeliest(library)(logits, count=6)
    expected, places = likeliest(logits, count=6)
    assert tokens.equal(places)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-6)


@needs_compiler
def test_an_activation_that_is_not_known_leaves_the_blocks_plain() -> None:
    found = accelerate_pair(wide("gelu"))
    assert "is no activation that it knows" in found.reason
    assert not isinstance(found.model.get_submodule("stack"), NativeCrossStack)  # type: ignore[attr-defined]


def test_without_a_compiler_the_plain_form_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    told = build.Native(library=None, reason="no C++ compiler was found")
    monkeypatch.setattr(build, "load", lambda: told)
    found = accelerate_pair(pair_laws.toy("transformer"))  # type: ignore[arg-type]
    assert not found.is_native
    assert found.reason == "plain PyTorch: no C++ compiler was found"
