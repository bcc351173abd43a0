"""GGUF files, by which llama.cpp runs a model: weights, sizes and vocabulary in one file.

Written through the library `gguf`. llama.cpp rotates neighbouring channels in its Llama class, so
the rows of query and key are put in that order; in its Qwen classes it pairs them as we do.
"""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from cutaway.durable import machine_errors, need_space, sync_folder
from cutaway.errors import UsageError
from cutaway.interop.huggingface import weights
from cutaway.models.gpt import GPT
from cutaway.models.llama import Llama, LlamaConfig
from cutaway.nn.position import LlamaScaling
from cutaway.tokenizer.base import ASSISTANT, Tokenizer
from cutaway.tokenizer.chat import CHAT_TEMPLATE
from cutaway.tokenizer.pieces import GPT2_PATTERN, PATTERN

Precision = Literal["f32", "f16", "bf16", "q8_0"]

QWEN_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"  # as published
)
LLAMA3_PATTERN = QWEN_PATTERN.replace(r"|\p{N}|", r"|\p{N}{1,3}|")

SPLITTERS = MappingProxyType(
    {
        GPT2_PATTERN: "gpt-2",
        QWEN_PATTERN: "qwen2",
        LLAMA3_PATTERN: "llama-bpe",
        f"digits, {GPT2_PATTERN}": "smollm",
        PATTERN: "smollm",  # the nearest: digits alone, then words with the space before them
    }
)
"""llama.cpp's names of the patterns that cut text; it knows no other ones."""

NAMES = MappingProxyType(
    {
        "transformer.wte": "token_embd",
        "transformer.wpe": "position_embd",
        "transformer.ln_f": "output_norm",
        "attn.c_attn": "attn_qkv",
        "attn.c_proj": "attn_output",
        "ln_1": "attn_norm",
        "ln_2": "ffn_norm",
        "mlp.c_fc": "ffn_up",
        "mlp.c_proj": "ffn_down",
        "model.embed_tokens": "token_embd",
        "model.norm": "output_norm",
        "lm_head": "output",
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "self_attn.q_norm": "attn_q_norm",
        "self_attn.k_norm": "attn_k_norm",
        "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
    }
)
"""Hugging Face's names of the parts with llama.cpp's."""

BLOCK_OF_8_BITS = 32
"""Numbers that share a scale."""


def write_gguf(
    path: Path, *, model: nn.Module, tokenizer: Tokenizer, dtype: Precision
) -> list[str]:
    """Writes a file that llama.cpp opens; returns what differs there, in sentences.

    Raises:
        UsageError: llama.cpp has no class for the model or its tokenizer, or a file is there.
    """
    try:
        import gguf
    except ImportError as error:
        raise UsageError(
            "to=gguf needs the package gguf; install it with: pip install 'cutaway[interop]'"
        ) from error
    kind = _kind_of(model)
    content = json.loads(tokenizer.to_json())
    splitter, remarks = _splitter(content)
    if path.exists():
        raise UsageError(f"{path}: there is a file already; give another name with out=")
    count = sum(parameter.numel() for parameter in model.parameters())
    need_space(path.parent, count * (4 if dtype == "f32" else 2))
    unfinished = path.with_name(f".{path.name}.unfinished")
    writer = gguf.GGUFWriter(None, kind)
    _write_sizes(writer, model, name=path.stem)
    _write_vocabulary(writer, tokenizer, content, model=model, splitter=splitter)
    for name, tensor in _tensors(model, kind=kind):
        array, stored = _stored(name, tensor, dtype=dtype)
        writer.add_tensor(name, array, raw_dtype=gguf.GGMLQuantizationType[stored])
    with machine_errors(f"cannot write {path}"):
        try:
            writer.write_header_to_file(unfinished)
            writer.write_kv_data_to_file()
            writer.write_tensors_to_file()
            writer.close()
            with unfinished.open("rb") as file:
                os.fsync(file.fileno())
            unfinished.replace(path)
            sync_folder(path.parent)
        finally:
            unfinished.unlink(missing_ok=True)
    return remarks


def _kind_of(model: nn.Module) -> str:
    """llama.cpp's name of the class that computes the same."""
    if isinstance(model, GPT):
        config = model.config
        unlike = {
            "norm_placement=post": config.norm_placement != "pre",
            f"activation={config.activation}": config.activation != "gelu_tanh",
            f"window={config.window}": (config.window or config.context_length)
            < config.context_length,
        }
        kind = "gpt2"
    elif isinstance(model, Llama):
        sizes = model.config
        kind = "qwen3" if sizes.query_key_norm else "llama"
        if not sizes.query_key_norm and sizes.projection_bias and not sizes.output_bias:
            kind = "qwen2"
        has_bias = sizes.projection_bias or sizes.output_bias
        unlike = {
            f"window={sizes.window}": (sizes.window or sizes.context_length) < sizes.context_length,
            "query_key_norm with projection_bias": kind == "qwen3" and has_bias,
            "output_bias without projection_bias": sizes.output_bias and not sizes.projection_bias,
            f"feedforward_bias in {kind}": sizes.feedforward_bias and kind != "llama",
            f"rotary_scaling=llama3 in {kind}": sizes.rotary_scaling == "llama3"
            and kind != "llama",
        }
    else:
        raise UsageError(
            f"llama.cpp has no class that computes what {type(model).__name__} does;\n"
            "models of model.architecture=llama and gpt can be exported"
        )
    for option, is_there in unlike.items():
        if is_there:
            raise UsageError(f"{option}: llama.cpp has no class with this option")
    return kind


def _write_sizes(writer: Any, model: nn.Module, *, name: str) -> None:
    assert isinstance(model, GPT | Llama)
    config = model.config
    writer.add_name(name)
    writer.add_context_length(config.context_length)
    writer.add_embedding_length(config.width)
    writer.add_block_count(config.num_layers)
    writer.add_head_count(config.num_heads)
    writer.add_vocab_size(config.vocab_size)
    if isinstance(config, LlamaConfig):
        writer.add_feed_forward_length(config.hidden_width)
        writer.add_head_count_kv(config.num_key_value_heads)
        writer.add_layer_norm_rms_eps(config.norm_epsilon)
        writer.add_key_length(config.channels)
        writer.add_value_length(config.channels)
        writer.add_rope_dimension_count(config.channels)
        writer.add_rope_freq_base(config.rotary_base)
        if config.rotary_scaling == "linear":
            from gguf import RopeScalingType

            writer.add_rope_scaling_type(RopeScalingType.LINEAR)
            writer.add_rope_scaling_factor(config.rotary_factor)
    else:
        writer.add_feed_forward_length(config.hidden_width or 4 * config.width)
        writer.add_layer_norm_eps(config.norm_epsilon)


def _splitter(content: Mapping[str, Any]) -> tuple[str, list[str]]:
    """llama.cpp's name for the way in which a tokenizer cuts text, and what is not the same."""
    steps = content.get("pre_tokenizer") or {}
    steps = steps.get("pretokenizers") or [steps]
    kinds = [step.get("type") for step in steps]
    found = None
    if content["model"]["type"] == "BPE" and kinds[-1:] == ["ByteLevel"]:
        if kinds == ["Split", "ByteLevel"]:
            found = steps[0]["pattern"].get("Regex")
        elif kinds == ["ByteLevel"]:
            found = GPT2_PATTERN
        elif kinds == ["Digits", "ByteLevel"] and steps[0].get("individual_digits"):
            found = f"digits, {GPT2_PATTERN}"
    if not isinstance(found, str) or found not in SPLITTERS:
        raise UsageError(
            "llama.cpp does not know how this tokenizer cuts text;\n"
            "it knows byte-level byte pairs as of GPT-2, Llama 3, Qwen and SmolLM, and nearly ours"
        )
    same = f"{SPLITTERS[found]} cuts text nearly as this tokenizer does"
    return SPLITTERS[found], [
        f"llama.cpp has no pattern like ours; its {same}: give it ids where they must be equal"
    ] if found == PATTERN else []


def _write_vocabulary(
    writer: Any,
    tokenizer: Tokenizer,
    content: Mapping[str, Any],
    *,
    model: nn.Module,
    splitter: str,
) -> None:
    from gguf import TokenType

    assert isinstance(model, GPT | Llama)
    customs = tokenizer.customs
    size = model.config.vocab_size
    tokens = [f"[unused {token_id}]" for token_id in range(size)]
    kinds = [int(TokenType.UNUSED)] * size
    for token, token_id in content["model"]["vocab"].items():
        tokens[token_id], kinds[token_id] = token, int(TokenType.NORMAL)
    for each in content.get("added_tokens") or ():
        kind = TokenType.CONTROL if each["special"] else TokenType.USER_DEFINED
        tokens[each["id"]], kinds[each["id"]] = each["content"], int(kind)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(splitter)
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(
        [pair if isinstance(pair, str) else " ".join(pair) for pair in content["model"]["merges"]]
    )
    ends = sorted(customs.stop_ids)
    first = tokenizer.special.get(customs.words.get("eos_token", "<|end|>"))
    if ends:
        writer.add_eos_token_id(first if first in ends else ends[0])
        for other in [each for each in ends if each != first][:1]:
            writer.add_eot_token_id(other)
    if customs.begin_id is not None:
        writer.add_bos_token_id(customs.begin_id)
    writer.add_add_bos_token(customs.begin_id is not None and customs.prompts_begin)
    template = customs.template or (CHAT_TEMPLATE if ASSISTANT in tokenizer.special else None)
    if template is not None:
        writer.add_chat_template(template)


def _tensors(model: nn.Module, *, kind: str) -> Iterator[tuple[str, Tensor]]:
    """Every tensor of the file under llama.cpp's name and in its order of rows."""
    for name, tensor in weights.exported(model, dtype=torch.float32):
        stem, _, ending = name.rpartition(".")
        parts = stem.split(".")
        if stem in NAMES:
            yield f"{NAMES[stem]}.{ending}", tensor
            continue
        number, part = parts[2], ".".join(parts[3:])
        if isinstance(model, GPT) and tensor.dim() == 2:
            tensor = tensor.T.contiguous()
        if kind == "llama" and part in ("self_attn.q_proj", "self_attn.k_proj"):
            tensor = _as_neighbours(tensor, channels=_channels(model))
        yield f"blk.{number}.{NAMES[part]}.{ending}", tensor
    if isinstance(model, Llama) and model.config.rotary_scaling == "llama3":
        yield "rope_freqs.weight", _slowing(model.config)


def _channels(model: nn.Module) -> int:
    assert isinstance(model, Llama)
    return model.config.channels


def _as_neighbours(tensor: Tensor, *, channels: int) -> Tensor:
    """The rows of each head in the order c, c + C/2 instead of the first half, then the second."""
    heads = tensor.view(-1, 2, channels // 2, *tensor.shape[1:])
    return heads.transpose(1, 2).reshape(tensor.shape).contiguous()


def _slowing(config: LlamaConfig) -> Tensor:
    """By how much each pair of channels turns more slowly than without the scaling."""
    scaling = LlamaScaling(
        factor=config.rotary_factor,
        low=config.rotary_low,
        high=config.rotary_high,
        original_length=config.rotary_original_length,
    )
    channel = torch.arange(0, config.channels, 2, dtype=torch.float64)
    frequency = config.rotary_base ** (-channel / config.channels)
    return (frequency / scaling(frequency)).float()


def _stored(name: str, tensor: Tensor, *, dtype: Precision) -> tuple[Any, str]:
    """A tensor as bytes of a type: vectors and positions stay exact, they take next to nothing."""
    import gguf

    array = tensor.numpy().astype(np.float32)
    stored = dtype.upper()
    if tensor.dim() < 2 or name == "position_embd.weight":
        stored = "F32"
    elif dtype == "q8_0" and tensor.shape[-1] % BLOCK_OF_8_BITS:
        stored = "F16"
    return gguf.quants.quantize(array, gguf.GGMLQuantizationType[stored]), stored
