"""GGUF files: what `gguf` reads of them, and what llama.cpp makes of them."""

from pathlib import Path
from typing import Any

import pytest
import torch

from cutaway.errors import UsageError
from cutaway.inference.generate import generate
from cutaway.inference.sampling import Greedy
from cutaway.interop.gguf import write_gguf
from cutaway.models.catalog import build
from cutaway.tokenizer import characters, fast
from cutaway.tokenizer.pieces import GPT2_PATTERN

TEXTS = ["the old fox and the new fox", "a fox in the old town, and 27 more", "new towns 1234"] * 9
PROMPT = "the old fox and"

SIZES: dict[str, Any] = {
    "vocab_size": 300,
    "context_length": 64,
    "width": 64,
    "num_layers": 2,
    "num_heads": 4,
}
LLAMA = SIZES | {"architecture": "llama", "num_key_value_heads": 2, "hidden_width": 96}
MODELS: dict[str, dict[str, Any]] = {
    "gpt2": SIZES | {"architecture": "gpt"},
    "llama": LLAMA,
    "llama tied": LLAMA | {"tied": True},
    "llama with biases": LLAMA
    | {"projection_bias": True, "output_bias": True, "feedforward_bias": True},
    "llama 3.1": LLAMA
    | {
        "rotary_scaling": "llama3",
        "rotary_factor": 4.0,
        "rotary_original_length": 16,
        "rotary_base": 500.0,
    },
    "llama slowed": LLAMA | {"rotary_scaling": "linear", "rotary_factor": 3.0},
    "llama with wide heads": LLAMA | {"head_width": 32},
    "qwen2": LLAMA | {"projection_bias": True},
    "qwen3": LLAMA | {"query_key_norm": True, "head_width": 32},
}
TOLERANCE = {"f32": 5e-3, "f16": 1e-2, "q8_0": 0.15}
"""In spreads of the logits; ggml keeps keys and values in 16 bits and rounds what multiplies 8-bit
weights to 8 bits."""


@pytest.fixture(scope="module")
def tokenizer() -> fast.BytePairTokenizer:
    return fast.train(TEXTS, vocab_size=290, pattern=GPT2_PATTERN)


def made(name: str) -> Any:
    model = build(MODELS[name])
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.12 * torch.randn(weight.shape, generator=generator))
    return model.eval()


def teach(model: Any, tokenizer: fast.BytePairTokenizer) -> None:
    """Lets a model learn the texts by heart: a choice by chance would say nothing of rounding."""
    ids = torch.tensor([tokenizer.prompt(" ".join(TEXTS))[:60]])
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(60):
        optimizer.zero_grad()
        logits = model(ids[:, :-1])[0]
        torch.nn.functional.cross_entropy(logits, ids[0, 1:]).backward()
        optimizer.step()


@pytest.mark.peer
@pytest.mark.parametrize("dtype", ["f32", "f16", "q8_0"])
@pytest.mark.parametrize("name", MODELS)
def test_llama_cpp_gives_the_same_ids_logits_and_text(
    name: str, dtype: Any, tokenizer: fast.BytePairTokenizer, tmp_path: Path
) -> None:
    llama_cpp = pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")
    model, path = made(name), tmp_path / "model.gguf"
    teach(model, tokenizer)
    assert write_gguf(path, model=model, tokenizer=tokenizer, dtype=dtype) == []
    theirs = llama_cpp.Llama(
        str(path), n_ctx=64, n_threads=1, logits_all=True, verbose=False, n_batch=64
    )
    ids = theirs.tokenize(PROMPT.encode(), add_bos=True, special=False)
    assert ids == tokenizer.prompt(PROMPT)
    theirs.eval(ids)
    expected = model(torch.tensor([ids]))[0].detach()
    found = torch.tensor(theirs.scores[: len(ids)])
    assert (found - expected).abs().max() < TOLERANCE[dtype] * expected.std()

    own = generate(model, ids, sampler=Greedy(), max_tokens=12)
    theirs.reset()
    text = []
    for token in theirs.generate(ids, temp=0.0, repeat_penalty=1.0):
        text.append(token)
        if len(text) == 12:
            break
    assert text == own.ids


@pytest.mark.parametrize("dtype", ["f32", "f16", "bf16", "q8_0"])
def test_the_file_holds_sizes_vocabulary_and_every_weight(
    dtype: Any, tokenizer: fast.BytePairTokenizer, tmp_path: Path
) -> None:
    gguf = pytest.importorskip("gguf", reason="the extra `interop` is not installed")
    model, path = made("llama tied"), tmp_path / "model.gguf"
    write_gguf(path, model=model, tokenizer=tokenizer, dtype=dtype)
    reader = gguf.GGUFReader(path)
    assert reader.get_field("llama.block_count").contents() == 2
    assert reader.get_field("tokenizer.ggml.pre").contents() == "gpt-2"
    assert len(reader.get_field("tokenizer.ggml.tokens").contents()) == 300
    assert len(reader.tensors) == 2 + 2 * 9
    found = {tensor.name: tensor for tensor in reader.tensors}
    for name, weight in (
        ("token_embd.weight", model.embedding.weight),
        ("blk.1.ffn_down.weight", model.stack.blocks[1].feedforward.down.weight),
    ):
        tensor = found[name]
        values = torch.from_numpy(gguf.quants.dequantize(tensor.data, tensor.tensor_type).copy())
        bound = {"f32": 0.0, "f16": 1e-3, "bf16": 1e-2, "q8_0": 1e-2}[dtype]
        assert (values.reshape(weight.shape) - weight).abs().max() <= bound
    with pytest.raises(UsageError, match="there is a file already"):
        write_gguf(path, model=model, tokenizer=tokenizer, dtype=dtype)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"architecture": "gpt", "activation": "relu"}, "activation=relu"),
        ({"architecture": "gpt", "norm_placement": "post"}, "norm_placement=post"),
        ({"architecture": "gpt", "window": 8}, "window=8"),
        ({**LLAMA, "window": 8}, "window=8"),
        ({**LLAMA, "query_key_norm": True, "projection_bias": True}, "query_key_norm with"),
        ({**LLAMA, "output_bias": True}, "output_bias without"),
        ({"architecture": "speedrun"}, "no class that computes what Speedrun does"),
    ],
)
def test_what_llama_cpp_cannot_compute_is_named(
    settings: dict[str, Any], told: str, tokenizer: fast.BytePairTokenizer, tmp_path: Path
) -> None:
    model = build(SIZES | settings)
    with pytest.raises(UsageError, match=told):
        write_gguf(tmp_path / "a.gguf", model=model, tokenizer=tokenizer, dtype="f32")
    assert list(tmp_path.iterdir()) == []


def test_a_tokenizer_that_llama_cpp_does_not_know_is_refused(tmp_path: Path) -> None:
    letters = characters.train(["abc"])
    with pytest.raises(UsageError, match="does not know how this tokenizer cuts text"):
        write_gguf(tmp_path / "a.gguf", model=made("llama"), tokenizer=letters, dtype="f32")


def test_our_own_pattern_is_only_nearly_known_and_that_is_told(tmp_path: Path) -> None:
    ours = fast.train(TEXTS, vocab_size=290)
    remarks = write_gguf(tmp_path / "a.gguf", model=made("llama"), tokenizer=ours, dtype="f16")
    assert "no pattern like ours" in remarks[0]
