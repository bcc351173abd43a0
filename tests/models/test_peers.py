"""With the same random weights our decoders give the logits of Hugging Face's classes."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cutaway.models.catalog import build

pytestmark = pytest.mark.peer

TOKENS = torch.randint(61, (2, 17), generator=torch.Generator().manual_seed(0))
GPT = {
    "architecture": "gpt",
    "vocab_size": 61,
    "context_length": 20,
    "width": 24,
    "num_layers": 3,
    "num_heads": 3,
}
LLAMA = {
    "architecture": "llama",
    "vocab_size": 61,
    "context_length": 20,
    "width": 24,
    "num_layers": 3,
    "num_heads": 6,
    "num_key_value_heads": 2,
    "hidden_width": 40,
}
SHARED = {
    "vocab_size": 61,
    "hidden_size": 24,
    "intermediate_size": 40,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "max_position_embeddings": 20,
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": False,
    "attn_implementation": "eager",
}
"""LLAMA in the words of Hugging Face."""


def randomized(peer: Any) -> Any:
    """Fills biases and gains too: as they are made, most of them would hide a mistake."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in peer.parameters():
            weight.add_(0.1 * torch.randn(weight.shape, generator=generator))
    return peer.eval()


def ours(settings: dict[str, Any], weights: dict[str, Tensor]) -> nn.Module:
    model = build(settings)
    names = dict(model.named_parameters())
    assert weights.keys() >= names.keys()
    with torch.no_grad():
        for name, weight in names.items():
            assert weight.shape == weights[name].shape, name
            weight.copy_(weights[name])
    return model.eval()


def largest_difference(model: nn.Module, peer: Any) -> float:
    with torch.no_grad():
        expected = peer(TOKENS).logits
        assert expected.std() > 0.1
        return float((model(TOKENS) - expected).abs().max())


def gpt_weights(peer: Any) -> dict[str, Tensor]:
    """GPT-1 and GPT-2: matrices are stored transposed, query, key and value in one."""
    body = peer.transformer
    embeddings = (body.tokens_embed, body.positions_embed) if hasattr(body, "tokens_embed") else ()
    token, position = embeddings or (body.wte, body.wpe)
    found = {"embedding.weight": token.weight, "position.weight": position.weight}
    for layer, block in enumerate(body.h):
        place = f"stack.blocks.{layer}"
        matrices = {
            **dict(
                zip(
                    ("query_projection", "key_projection", "value_projection"),
                    zip(
                        block.attn.c_attn.weight.T.chunk(3),
                        block.attn.c_attn.bias.chunk(3),
                        strict=True,
                    ),
                    strict=True,
                )
            ),
            "output_projection": (block.attn.c_proj.weight.T, block.attn.c_proj.bias),
        }
        for name, (matrix, bias) in matrices.items():
            found[f"{place}.attention.{name}.weight"] = matrix
            found[f"{place}.attention.{name}.bias"] = bias
        for name, part in (("up", block.mlp.c_fc), ("down", block.mlp.c_proj)):
            found[f"{place}.feedforward.{name}.weight"] = part.weight.T
            found[f"{place}.feedforward.{name}.bias"] = part.bias
        for name, norm in (("attention_norm", block.ln_1), ("feedforward_norm", block.ln_2)):
            found[f"{place}.{name}.weight"] = norm.weight
            found[f"{place}.{name}.bias"] = norm.bias
    if hasattr(body, "ln_f"):
        found["stack.norm.weight"], found["stack.norm.bias"] = body.ln_f.weight, body.ln_f.bias
    return found


def llama_weights(peer: Any) -> dict[str, Tensor]:
    """Llama and its kin: the same matrices under other names."""
    renamed = {
        "self_attn.q_proj": "attention.query_projection",
        "self_attn.k_proj": "attention.key_projection",
        "self_attn.v_proj": "attention.value_projection",
        "self_attn.o_proj": "attention.output_projection",
        "self_attn.q_norm": "attention.query_norm",
        "self_attn.k_norm": "attention.key_norm",
        "mlp.gate_proj": "feedforward.gate",
        "mlp.up_proj": "feedforward.up",
        "mlp.down_proj": "feedforward.down",
        "post_attention_layernorm": "feedforward_norm",
        "input_layernorm": "attention_norm",
        "model.layers": "stack.blocks",
        "model.embed_tokens": "embedding",
        "model.norm": "stack.norm",
        "lm_head": "unembedding",
    }
    found = {}
    for name, weight in peer.named_parameters():
        for theirs, own in renamed.items():
            name = name.replace(theirs, own)
        found[name] = weight
    return found


def gpt1() -> Any:
    from transformers import OpenAIGPTConfig, OpenAIGPTLMHeadModel

    sizes = OpenAIGPTConfig(vocab_size=61, n_positions=20, n_embd=24, n_layer=3, n_head=3)
    return OpenAIGPTLMHeadModel(sizes)


def gpt2() -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel

    sizes = GPT2Config(vocab_size=61, n_positions=20, n_embd=24, n_layer=3, n_head=3)
    return GPT2LMHeadModel(sizes)


def llama() -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(LlamaConfig(**SHARED))


def mistral() -> Any:
    from transformers import MistralConfig, MistralForCausalLM

    return MistralForCausalLM(MistralConfig(**SHARED, sliding_window=5))


def qwen2() -> Any:
    from transformers import Qwen2Config, Qwen2ForCausalLM

    return Qwen2ForCausalLM(Qwen2Config(**SHARED))


def qwen3() -> Any:
    from transformers import Qwen3Config, Qwen3ForCausalLM

    return Qwen3ForCausalLM(Qwen3Config(**SHARED, head_dim=8))


@pytest.mark.parametrize(
    ("make", "changes"), [(gpt1, {"norm_placement": "post"}), (gpt2, {})], ids=["gpt1", "gpt2"]
)
def test_gpt_equals_hugging_face(make: Callable[[], Any], changes: dict[str, Any]) -> None:
    peer = randomized(make())
    assert largest_difference(ours(GPT | changes, gpt_weights(peer)), peer) < 1e-4


@pytest.mark.parametrize(
    ("make", "changes"),
    [
        (llama, {}),
        (mistral, {"window": 5}),
        (qwen2, {"projection_bias": True}),
        (qwen3, {"query_key_norm": True, "head_width": 8}),
    ],
    ids=["llama", "mistral", "qwen2", "qwen3"],
)
def test_llama_equals_hugging_face(make: Callable[[], Any], changes: dict[str, Any]) -> None:
    peer = randomized(make())
    assert largest_difference(ours(LLAMA | changes, llama_weights(peer)), peer) < 1e-4
