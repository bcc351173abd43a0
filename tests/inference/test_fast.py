"""The fast form of every decoder: equal to the plain one on the same rounded weights."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cutaway.inference.fast import Following, accelerate
from cutaway.inference.generate import generate
from cutaway.inference.native import build
from cutaway.inference.program import MOST_TOKENS
from cutaway.inference.quantize import FORMATS, WeightFormat, rounded
from cutaway.inference.sampling import Greedy
from cutaway.models.catalog import build as build_model
from tests import laws

TOLERANCE = {"atol": 1e-4, "rtol": 1e-4}
"""Between the two forms: the same fp32 sums in another order."""

LAWS = [
    laws.cached_equals_uncached,
    laws.cached_rows_may_have_unequal_lengths,
    laws.no_token_sees_the_future,
]

needs_compiler = pytest.mark.skipif(
    build.find_compiler() is None, reason="no C++ compiler: there is no fast form here"
)


def fast(model: Any, weights: WeightFormat) -> Any:
    """The fast form, which must be one."""
    found = accelerate(model, weights=weights)
    assert found.is_native, found.reason
    return found.model


def wide() -> nn.Module:
    """A decoder with more than one panel of outputs, and a rest, in every product."""
    sizes = {"vocab_size": 203, "context_length": 256, "width": 96, "num_layers": 2}
    return build_model(
        {"architecture": "llama", **sizes, "num_heads": 3, "num_key_value_heads": 1}
        | {"hidden_width": 150, "tied": True},
        generator=torch.Generator().manual_seed(5),
    ).eval()


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, **TOLERANCE)


@needs_compiler
@pytest.mark.parametrize("weights", FORMATS)
@pytest.mark.parametrize("name", laws.DECODERS)
def test_every_decoder_gives_the_logits_of_its_plain_form(name: str, weights: WeightFormat):
    model, tokens = laws.toy(name), laws.ids(3, 17)
    with torch.no_grad():
        close(fast(model, weights)(tokens), rounded(model, weights=weights)(tokens))


@needs_compiler
@pytest.mark.parametrize("weights", FORMATS)
def test_sizes_that_fill_no_whole_panel_give_the_logits_of_the_plain_form(weights: WeightFormat):
    model = wide()
    tokens = torch.randint(203, (2, 140), generator=torch.Generator().manual_seed(6))
    assert tokens.numel() > 2 * MOST_TOKENS
    with torch.no_grad():
        close(fast(model, weights)(tokens), rounded(model, weights=weights)(tokens))


@needs_compiler
@pytest.mark.parametrize("weights", FORMATS)
@pytest.mark.parametrize(
    ("width", "heads", "shared", "hidden"),
    [(60, 3, 1, 7), (40, 1, 1, 129), (144, 2, 2, 64), (24, 6, 2, 300)],
)
def test_heads_that_fill_no_whole_register_give_the_logits_of_the_plain_form(
    width: int, heads: int, shared: int, hidden: int, weights: WeightFormat
):
    sizes = {"vocab_size": 131, "context_length": 64, "width": width, "num_layers": 1}
    model = build_model(
        {"architecture": "llama", **sizes, "num_heads": heads, "num_key_value_heads": shared}
        | {"hidden_width": hidden},
        generator=torch.Generator().manual_seed(8),
    ).eval()
    tokens = torch.randint(131, (2, 50), generator=torch.Generator().manual_seed(9))
    quick, plain = fast(model, weights), rounded(model, weights=weights)
    cache = quick.new_cache(2, 50)
    with torch.no_grad():
        pieces = [quick(piece, cache=cache) for piece in tokens.split([1, 30, 1, 17, 1], dim=1)]
        close(torch.cat(pieces, dim=1), plain(tokens))


@needs_compiler
@pytest.mark.parametrize("weights", FORMATS)
def test_the_number_of_threads_changes_no_bit(weights: WeightFormat):
    model = fast(wide(), weights)
    tokens = torch.randint(203, (3, 21), generator=torch.Generator().manual_seed(10))
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            with torch.no_grad():
                found += [(model(tokens), model(tokens[:1, :1]))]
    finally:
        torch.set_num_threads(before)
    for many, one in found[1:]:
        assert torch.equal(many, found[0][0])
        assert torch.equal(one, found[0][1])


@needs_compiler
def test_two_threads_of_python_may_run_a_model_at_once():
    model, tokens = fast(wide(), "bf16"), torch.arange(40)[None]

    def read(_: int) -> Tensor:
        with torch.no_grad():
            return model(tokens)

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(read, range(8)))
    assert all(torch.equal(each, found[0]) for each in found)


@needs_compiler
@pytest.mark.parametrize("name", laws.DECODERS)
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_every_fast_decoder_keeps_the_law(name: str, law: Callable[[Any], None]):
    law(fast(laws.toy(name), "int8"))


@needs_compiler
@pytest.mark.parametrize("name", laws.DECODERS)
def test_packed_documents_do_not_see_each_other(name: str):
    model, tokens = laws.toy(name), laws.ids(2, 12)
    documents = torch.tensor([[1] * 5 + [2] * 7, [1] * 9 + [0] * 3])
    with torch.no_grad():
        found = fast(model, "fp32")(tokens, documents=documents)
        expected = model(tokens, documents=documents)
    close(found[documents > 0], expected[documents > 0])


@needs_compiler
@pytest.mark.parametrize("weights", FORMATS)
@pytest.mark.parametrize("name", laws.DECODERS)
def test_greedy_texts_are_those_of_the_plain_loop(name: str, weights: WeightFormat):
    model = laws.toy(name)
    for prompt in ([1, 2, 3], [4], [5, 6, 7, 8, 9]):
        found = generate(fast(model, weights), prompt, sampler=Greedy(), max_tokens=12)
        plain = rounded(model, weights=weights)
        assert found.ids == generate(plain, prompt, sampler=Greedy(), max_tokens=12).ids


@needs_compiler
@pytest.mark.parametrize("is_fused", [True, False])
def test_what_follows_a_model_has_its_weights_as_they_are_now(is_fused: bool):
    model, tokens = wide(), torch.arange(40)[None]
    following = Following(model)
    before = following.now()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, fused=is_fused)
    model(tokens).logsumexp(dim=-1).sum().backward()
    optimizer.step()
    with torch.no_grad():
        close(following.now()(tokens), model(tokens))
        assert not torch.allclose(before(tokens), model(tokens), atol=0.1)


@needs_compiler
def test_no_tokens_have_no_logits():
    assert fast(wide(), "fp32").unembed(torch.zeros(1, 0, 96)).shape == (1, 0, 203)


@needs_compiler
@pytest.mark.parametrize("weights", FORMATS)
def test_a_row_has_the_same_bits_alone_and_among_others(weights: WeightFormat):
    model = fast(wide(), weights)
    tokens = torch.randint(203, (16, 30), generator=torch.Generator().manual_seed(7))
    with torch.no_grad():
        together, cache = model(tokens), model.new_cache(1, 30)
        pieces = [model(piece, cache=cache) for piece in tokens[3:4].split([7, 1, 1, 21], dim=1)]
    assert torch.equal(torch.cat(pieces, dim=1)[0], together[3])


@needs_compiler
@pytest.mark.parametrize("weights", FORMATS)
def test_the_kernels_are_right_without_the_instructions_of_this_processor(
    weights: WeightFormat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(build, "EXTRAS", ((),))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    build.load.cache_clear()
    try:
        model, tokens = wide(), torch.arange(50)[None]
        with torch.no_grad():
            close(fast(model, weights)(tokens), rounded(model, weights=weights)(tokens))
    finally:
        build.load.cache_clear()


@needs_compiler
def test_a_token_beyond_the_model_s_positions_is_refused():
    model = fast(laws.toy("llama"), "fp32")
    with pytest.raises(ValueError, match="beyond the model's 24 positions"):
        model(laws.ids(1, 3), positions=torch.tensor([[22, 23, 24]]))


def test_without_a_compiler_it_is_plain_pytorch_and_says_so(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(build, "find_compiler", lambda: None)
    build.load.cache_clear()
    try:
        model, tokens = laws.toy("llama"), laws.ids(2, 5)
        found = accelerate(model, weights="int8")
        assert not found.is_native
        assert "no C++ compiler was found" in found.reason
        assert torch.equal(found.model(tokens), rounded(model, weights="int8")(tokens))
        assert Following(model).now() is model
    finally:
        build.load.cache_clear()


def test_a_model_that_would_not_be_faster_is_followed_by_itself():
    for model in (laws.toy("llama").double(), laws.toy("llama").bfloat16()):
        assert Following(model).now() is model


def test_a_model_with_an_unknown_part_is_plain_pytorch_and_says_so():
    model = laws.toy("llama")
    model.stack.blocks[0].feedforward = nn.Identity()
    found = accelerate(model)
    assert not found.is_native
    assert found.reason in (
        "plain PyTorch: Identity is no feed-forward part that it knows",
        f"plain PyTorch: {build.load().reason}",
    )
    assert Following(model).now() is model
