"""Our weights in other hands: transformers' classes, and llama.cpp through a GGUF file."""

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

Writer = Callable[[list[list[int]], int], list[list[int]]]
"""Continues prompts of one length by so many tokens, greedily."""


def transformers_writer(model: Any, *, weights: str) -> Writer:
    """`generate` of the class that has our model's shape, with our model's weights."""
    dtype = torch.bfloat16 if weights == "bf16" else torch.float32
    peer = (_gpt2 if type(model).__name__ == "GPT" else _llama)(model).to(dtype).eval()

    @torch.inference_mode()
    def write(prompts: list[list[int]], tokens: int) -> list[list[int]]:
        given = torch.tensor(prompts)
        written = peer.generate(
            given,
            attention_mask=torch.ones_like(given),
            max_new_tokens=tokens,
            min_new_tokens=tokens,
            do_sample=False,
            pad_token_id=0,
        )
        return written[:, given.shape[1] :].tolist()

    return write


def _gpt2(model: Any) -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel

    sizes = model.config
    peer = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=sizes.vocab_size,
            n_positions=sizes.context_length,
            n_embd=sizes.width,
            n_layer=sizes.num_layers,
            n_head=sizes.num_heads,
            bos_token_id=None,
            eos_token_id=None,
        )
    )
    ours, named = model.state_dict(), {}
    named["transformer.wte.weight"] = ours["embedding.weight"]
    named["transformer.wpe.weight"] = ours["position.weight"]
    named |= _pair("transformer.ln_f", ours, "stack.norm")
    for layer in range(sizes.num_layers):
        to, of = f"transformer.h.{layer}", f"stack.blocks.{layer}"
        named |= _pair(f"{to}.ln_1", ours, f"{of}.attention_norm")
        named |= _pair(f"{to}.ln_2", ours, f"{of}.feedforward_norm")
        for part in ("weight", "bias"):
            joined = torch.cat([ours[f"{of}.attention.{n}_projection.{part}"] for n in QKV])
            named[f"{to}.attn.c_attn.{part}"] = joined.t()
        for theirs, name in (
            ("attn.c_proj", "attention.output_projection"),
            ("mlp.c_fc", "feedforward.up"),
            ("mlp.c_proj", "feedforward.down"),
        ):
            named[f"{to}.{theirs}.weight"] = ours[f"{of}.{name}.weight"].t()
            named[f"{to}.{theirs}.bias"] = ours[f"{of}.{name}.bias"]
    return _given(peer, named)


QKV = ("query", "key", "value")


def _pair(theirs: str, ours: dict[str, torch.Tensor], name: str) -> dict[str, torch.Tensor]:
    return {f"{theirs}.{part}": ours[f"{name}.{part}"] for part in ("weight", "bias")}


def _llama(model: Any) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = model.config
    peer = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=sizes.vocab_size,
            max_position_embeddings=sizes.context_length,
            hidden_size=sizes.width,
            num_hidden_layers=sizes.num_layers,
            num_attention_heads=sizes.num_heads,
            num_key_value_heads=sizes.num_key_value_heads,
            intermediate_size=sizes.hidden_width,
            rms_norm_eps=sizes.norm_epsilon,
            tie_word_embeddings=sizes.tied,
            bos_token_id=None,
            eos_token_id=None,
        )
    )
    ours, named = model.state_dict(), {}
    named["model.embed_tokens.weight"] = ours["embedding.weight"]
    named["model.norm.weight"] = ours["stack.norm.weight"]
    for layer in range(sizes.num_layers):
        to, of = f"model.layers.{layer}", f"stack.blocks.{layer}"
        for theirs, name in (
            ("input_layernorm", "attention_norm"),
            ("post_attention_layernorm", "feedforward_norm"),
            ("self_attn.q_proj", "attention.query_projection"),
            ("self_attn.k_proj", "attention.key_projection"),
            ("self_attn.v_proj", "attention.value_projection"),
            ("self_attn.o_proj", "attention.output_projection"),
            ("mlp.gate_proj", "feedforward.gate"),
            ("mlp.up_proj", "feedforward.up"),
            ("mlp.down_proj", "feedforward.down"),
        ):
            named[f"{to}.{theirs}.weight"] = ours[f"{of}.{name}.weight"]
    return _given(peer, named)


def _given(peer: Any, named: dict[str, torch.Tensor]) -> Any:
    missing, unexpected = peer.load_state_dict(named, strict=False)
    if unexpected or set(missing) - {"lm_head.weight"}:  # which is tied
        raise SystemExit(f"weights do not fit: {missing} {unexpected}")
    peer.tie_weights()
    return peer


def write_gguf(model: Any, path: Path, *, weights: str) -> None:
    """Our weights as a GGUF file: matrices in the format, all else in fp32."""
    import gguf

    is_gpt = type(model).__name__ == "GPT"
    kind = {
        "fp32": gguf.GGMLQuantizationType.F32,
        "bf16": gguf.GGMLQuantizationType.BF16,
        "int8": gguf.GGMLQuantizationType.Q8_0,
    }[weights]
    sizes = model.config
    writer = gguf.GGUFWriter(path, "gpt2" if is_gpt else "llama")
    writer.add_context_length(sizes.context_length)
    writer.add_embedding_length(sizes.width)
    writer.add_block_count(sizes.num_layers)
    writer.add_feed_forward_length(4 * sizes.width if is_gpt else sizes.hidden_width)
    writer.add_head_count(sizes.num_heads)
    if is_gpt:
        writer.add_layer_norm_eps(1e-5)
    else:
        writer.add_head_count_kv(sizes.num_key_value_heads)
        writer.add_layer_norm_rms_eps(sizes.norm_epsilon)
        writer.add_rope_dimension_count(sizes.channels)
        writer.add_vocab_size(sizes.vocab_size)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([f"<{number}>" for number in range(sizes.vocab_size)])
    writer.add_token_merges(["< 0"])
    for name, tensor in (_gpt_tensors if is_gpt else _llama_tensors)(model).items():
        array = tensor.detach().float().contiguous().numpy()
        if array.ndim == 2 and name != "position_embd.weight" and weights != "fp32":
            writer.add_tensor(name, gguf.quants.quantize(array, kind), raw_dtype=kind)
        else:
            writer.add_tensor(name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _gpt_tensors(model: Any) -> dict[str, torch.Tensor]:
    ours, named = model.state_dict(), {}
    named["token_embd.weight"] = ours["embedding.weight"]
    named["position_embd.weight"] = ours["position.weight"]
    named |= _pair("output_norm", ours, "stack.norm")
    for layer in range(model.config.num_layers):
        to, of = f"blk.{layer}", f"stack.blocks.{layer}"
        named |= _pair(f"{to}.attn_norm", ours, f"{of}.attention_norm")
        named |= _pair(f"{to}.ffn_norm", ours, f"{of}.feedforward_norm")
        for part in ("weight", "bias"):
            named[f"{to}.attn_qkv.{part}"] = torch.cat(
                [ours[f"{of}.attention.{n}_projection.{part}"] for n in QKV]
            )
        named |= _pair(f"{to}.attn_output", ours, f"{of}.attention.output_projection")
        named |= _pair(f"{to}.ffn_up", ours, f"{of}.feedforward.up")
        named |= _pair(f"{to}.ffn_down", ours, f"{of}.feedforward.down")
    return named


def _llama_tensors(model: Any) -> dict[str, torch.Tensor]:
    ours, named = model.state_dict(), {}
    named["token_embd.weight"] = ours["embedding.weight"]
    named["output_norm.weight"] = ours["stack.norm.weight"]
    for layer in range(model.config.num_layers):
        to, of = f"blk.{layer}", f"stack.blocks.{layer}"
        for theirs, name in (
            ("attn_norm", "attention_norm"),
            ("ffn_norm", "feedforward_norm"),
            ("attn_q", "attention.query_projection"),
            ("attn_k", "attention.key_projection"),
            ("attn_v", "attention.value_projection"),
            ("attn_output", "attention.output_projection"),
            ("ffn_gate", "feedforward.gate"),
            ("ffn_up", "feedforward.up"),
            ("ffn_down", "feedforward.down"),
        ):
            weight = ours[f"{of}.{name}.weight"]
            if theirs in ("attn_q", "attn_k"):
                # llama.cpp rotates neighbours, we rotate channel c with c + C/2.
                heads = weight.shape[0] // model.config.channels
                weight = weight.view(heads, 2, -1, weight.shape[1]).transpose(1, 2)
                weight = weight.reshape(-1, weight.shape[-1])
            named[f"{to}.{theirs}.weight"] = weight
    return named


def llama_writer(path: Path, *, most_rows: int, length: int) -> Writer:
    """llama.cpp's own batch interface, a sequence for each prompt."""
    import llama_cpp

    silent = llama_cpp.llama_log_callback(lambda level, text, data: None)
    llama_cpp.llama_log_set(silent, ctypes.c_void_p(0))
    llama_cpp.llama_backend_init()
    settings = llama_cpp.llama_model_default_params()
    model = llama_cpp.llama_model_load_from_file(str(path).encode(), settings)
    if not model:
        raise SystemExit(f"llama.cpp cannot read {path}")
    options = llama_cpp.llama_context_default_params()
    options.n_ctx = most_rows * (length + 32)
    options.n_batch = options.n_ubatch = 512
    options.n_seq_max = most_rows
    options.n_threads = options.n_threads_batch = torch.get_num_threads()
    context = llama_cpp.llama_init_from_model(model, options)
    vocabulary = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))
    batch = llama_cpp.llama_batch_init(512, 0, 1)

    def read(tokens: list[tuple[int, int, int, bool]]) -> None:
        """Decodes (id, position, row, whether its logits are wanted)."""
        batch.n_tokens = len(tokens)
        for place, (token, position, row, is_last) in enumerate(tokens):
            batch.token[place], batch.pos[place] = token, position
            batch.n_seq_id[place], batch.seq_id[place][0] = 1, row
            batch.logits[place] = is_last
        if llama_cpp.llama_decode(context, batch):
            raise SystemExit("llama.cpp could not decode")

    def best(places: list[int]) -> list[int]:
        import numpy

        found = []
        for place in places:
            pointer = llama_cpp.llama_get_logits_ith(context, place)
            found.append(int(numpy.ctypeslib.as_array(pointer, shape=(vocabulary,)).argmax()))
        return found

    def write(prompts: list[list[int]], tokens: int) -> list[list[int]]:
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(context), True)
        rows, last = range(len(prompts)), len(prompts[0]) - 1
        read([(p[t], t, row, t == last) for row, p in enumerate(prompts) for t in range(last + 1)])
        written = [[token] for token in best([row * (last + 1) + last for row in rows])]
        for step in range(1, tokens):
            read([(written[row][-1], last + step, row, True) for row in rows])
            for row, token in zip(rows, best(list(rows)), strict=True):
                written[row].append(token)
        return written

    # Kept alive with the writer: the log's callback and what llama.cpp holds.
    write.kept = (silent, model, context, batch)  # type: ignore[attr-defined]
    return write
