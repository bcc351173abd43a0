"""Our weights in other hands: transformers' classes, and llama.cpp through a GGUF file."""

import ctypes
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from cutaway.tokenizer.base import Tokenizer

Writer = Callable[[list[list[int]], int], list[list[int]]]
"""Continues prompts of one length by so many tokens, greedily."""


def transformers_writer(model: Any, *, weights: str) -> Writer:
    """`generate` of the class that has our model's shape, with our model's weights."""
    from transformers import AutoConfig, AutoModelForCausalLM

    from cutaway.interop.huggingface.configs import config_for
    from cutaway.interop.huggingface.weights import exported

    # No token of these weights means the end of a text.
    settings = config_for(model) | {"bos_token_id": None, "eos_token_id": None}
    config = AutoConfig.for_model(**settings)
    peer = AutoModelForCausalLM.from_config(config)
    named = dict(exported(model, dtype=torch.float32))
    missing, unexpected = peer.load_state_dict(named, strict=False)
    if unexpected or set(missing) - {"lm_head.weight"}:  # which is tied
        raise SystemExit(f"weights do not fit: {missing} {unexpected}")
    peer.tie_weights()
    peer = peer.to(torch.bfloat16 if weights == "bf16" else torch.float32).eval()

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


class Numbers(Tokenizer):
    """A vocabulary without text: what is measured has ids alone."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__(tokens=[b""] * vocab_size, special={})

    def encode(self, text: str) -> list[int]:
        """Nothing: there is no text."""
        return []

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Nothing for each."""
        return [[] for _ in texts]

    def to_json(self) -> str:
        """Byte pairs that llama.cpp reads: it refuses a file without any."""
        vocabulary = {f"<{number}>": number for number in range(self.vocab_size)}
        model = {"type": "BPE", "vocab": vocabulary, "merges": ["< 0"]}
        return json.dumps({"model": model, "pre_tokenizer": {"type": "ByteLevel"}})


def write_file(model: Any, path: Path, *, weights: str) -> None:
    """Our weights as a GGUF file, by our own export."""
    from cutaway.interop.gguf import Precision, write_gguf

    types: dict[str, Precision] = {"fp32": "f32", "bf16": "bf16", "int8": "q8_0"}
    tokenizer = Numbers(model.config.vocab_size)
    write_gguf(path, model=model, tokenizer=tokenizer, dtype=types[weights])


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
