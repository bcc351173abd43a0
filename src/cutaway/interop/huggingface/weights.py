"""Names of weights, both ways: every weight of ours is a part of one of theirs, in its layout.

GPT-2's files hold query, key and value in one matrix, and every matrix transposed (Conv1D); in
Marian's the channels of the residual stream stand in another order.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor, nn

from cutaway.interop.huggingface import marian
from cutaway.models.bert import Bert
from cutaway.models.gpt import GPT
from cutaway.models.heads import Classifier
from cutaway.models.transformer import Transformer

LLAMA = MappingProxyType(
    {
        "embedding": "model.embed_tokens",
        "attention.query_projection": "self_attn.q_proj",
        "attention.key_projection": "self_attn.k_proj",
        "attention.value_projection": "self_attn.v_proj",
        "attention.output_projection": "self_attn.o_proj",
        "attention.query_norm": "self_attn.q_norm",
        "attention.key_norm": "self_attn.k_norm",
        "attention_norm": "input_layernorm",
        "feedforward_norm": "post_attention_layernorm",
        "feedforward.gate": "mlp.gate_proj",
        "feedforward.up": "mlp.up_proj",
        "feedforward.down": "mlp.down_proj",
        "stack.norm": "model.norm",
        "unembedding": "lm_head",
    }
)
GPT2 = MappingProxyType(
    {
        "embedding": "transformer.wte",
        "position": "transformer.wpe",
        "attention.query_projection": "attn.c_attn",
        "attention.key_projection": "attn.c_attn",
        "attention.value_projection": "attn.c_attn",
        "attention.output_projection": "attn.c_proj",
        "attention_norm": "ln_1",
        "feedforward_norm": "ln_2",
        "feedforward.up": "mlp.c_fc",
        "feedforward.down": "mlp.c_proj",
        "stack.norm": "transformer.ln_f",
        "unembedding": "lm_head",
    }
)
BERT = MappingProxyType(
    {
        "embedding": "bert.embeddings.word_embeddings",
        "position": "bert.embeddings.position_embeddings",
        "segment": "bert.embeddings.token_type_embeddings",
        "norm": "bert.embeddings.LayerNorm",
        "attention.query_projection": "attention.self.query",
        "attention.key_projection": "attention.self.key",
        "attention.value_projection": "attention.self.value",
        "attention.output_projection": "attention.output.dense",
        "attention_norm": "attention.output.LayerNorm",
        "feedforward.up": "intermediate.dense",
        "feedforward.down": "output.dense",
        "feedforward_norm": "output.LayerNorm",
        "words": "cls.predictions",
        "words.dense": "cls.predictions.transform.dense",
        "words.norm": "cls.predictions.transform.LayerNorm",
        "pooler.dense": "bert.pooler.dense",
        "order": "cls.seq_relationship",
        "classes": "classifier",
    }
)
THIRDS = MappingProxyType({"query_projection": 0, "key_projection": 1, "value_projection": 2})
"""Which third of GPT-2's one matrix is whose."""

PREFIXES = ("transformer.", "model.", "bert.")
"""What stands before most names where the file is of the whole class, not of its body alone."""

PASSED_OVER = re.compile(
    r".*rotary_emb\.inv_freq|(transformer\.)?h\.[0-9]+\.attn\.(masked_)?bias|.*\.num_batches_tracked"
    r"|model\.(en|de)coder\.embed_positions\.weight"
)
"""Tables that older files hold and that are computed here."""

HEADS = re.compile(r"(bert\.)?pooler\..*|cls\..*|classifier\..*|(bert\.)?embeddings\.position_ids")
"""What may stand on an encoder, or beside it, in the files of one class and not of another."""

OLDER = MappingProxyType(
    {
        ".gamma": ".weight",
        ".beta": ".bias",
        "cls.predictions.decoder.bias": "cls.predictions.bias",
    }
)
"""Ends of names in older files, and what they are now."""

TEMPERATURE = "temperature"
"""Our name of what a classifier's logits are divided by."""

BLOCK = re.compile(r"(?:stack\.)?blocks\.(\d+)\.(.+)\.(weight|bias)")
SIDE = re.compile(r"(encoder|stack)\.blocks\.(\d+)\.(.+)\.(weight|bias)")


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a weight of ours stands in their file."""

    name: str
    """Of the tensor in the file."""
    third: int | None
    """Which third of it, by its last dimension; None: all of it."""
    is_transposed: bool
    """Whether it stands there with rows and columns exchanged."""
    in_halves: int | None = None
    """Dimension along which the channels of the residual stream stand in halves (`marian.py`)."""
    is_row: bool = False
    """Whether a vector of ours stands there as a matrix of one row."""

    def taken(self, tensor: Tensor) -> Tensor:
        """Our weight, out of their tensor."""
        if self.is_row:
            tensor = tensor[0]
        if self.in_halves is not None:
            order = marian.taking_turns(tensor.shape[self.in_halves])
            tensor = tensor.index_select(self.in_halves, order)
        if self.third is not None:
            tensor = tensor.chunk(3, dim=-1)[self.third]
        return tensor.T if self.is_transposed else tensor

    def given(self, own: Tensor) -> Tensor:
        """Their tensor, or their third of it, out of our weight."""
        tensor = own.T if self.is_transposed else own
        if self.in_halves is not None:
            order = marian.in_halves(tensor.shape[self.in_halves]).to(tensor.device)
            tensor = tensor.index_select(self.in_halves, order)
        return tensor[None] if self.is_row else tensor

    def shape(self, own: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of their tensor, from the shape of our weight."""
        shape = own[::-1] if self.is_transposed else own
        if self.is_row:
            shape = (1, *shape)
        return shape if self.third is None else (*shape[:-1], 3 * shape[-1])


def places(model: nn.Module) -> dict[str, Place]:
    """The place of every weight of a model that they have, by our name; a tied weight once."""
    if isinstance(model, Transformer):
        return _places_in_marian(model)
    is_gpt = isinstance(model, GPT)
    names, blocks = (GPT2, "transformer.h") if is_gpt else (LLAMA, "model.layers")
    if isinstance(model, Bert | Classifier):
        names, blocks = BERT, "bert.encoder.layer"
    found = {}
    for full, weight in model.named_parameters():
        name = full.removeprefix("body.")
        if name == TEMPERATURE:
            continue  # theirs has none: it is divided out
        block = BLOCK.fullmatch(name)
        if block:
            part, kind = block[2], block[3]
            theirs = f"{blocks}.{block[1]}.{names[part]}.{kind}"
            third = THIRDS.get(part.rpartition(".")[2]) if is_gpt else None
            is_matrix = weight.dim() == 2
            found[full] = Place(name=theirs, third=third, is_transposed=is_gpt and is_matrix)
        else:
            part, _, kind = name.rpartition(".")
            found[full] = Place(name=f"{names[part]}.{kind}", third=None, is_transposed=False)
    return found


def _places_in_marian(model: Transformer) -> dict[str, Place]:
    found = {}
    for name, _ in model.named_parameters():
        block = SIDE.fullmatch(name)
        if block:
            side = "encoder" if block[1] == "encoder" else "decoder"
            part, kind = block[3], block[4]
            theirs = f"model.{side}.layers.{block[2]}.{marian.NAMES[part]}.{kind}"
        elif name == "unembedding.bias":
            found[name] = Place(name=marian.BIAS, third=None, is_transposed=False, is_row=True)
            continue
        else:
            part, _, kind = name.rpartition(".")
            theirs = f"{marian.NAMES[part]}.{kind}"
        halves = marian.stream_dimension(part, kind)
        found[name] = Place(name=theirs, third=None, is_transposed=False, in_halves=halves)
    return found


def shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    """The tensors that a file of this model holds, with their shapes."""
    own = {name: tuple(weight.shape) for name, weight in model.named_parameters()}
    return {place.name: place.shape(own[name]) for name, place in places(model).items()}


def their_name(name: str, *, known: Mapping[str, object]) -> str | None:
    """The full name of a tensor, which may stand there without its prefix; None: passed over."""
    for end, now in OLDER.items():
        if name.endswith(end) and not is_whole(known):
            name = name.removesuffix(end) + now
    for prefix in ("", *PREFIXES):
        if prefix + name in known:
            return prefix + name
    if PASSED_OVER.fullmatch(name) or (HEADS.fullmatch(name) and not is_whole(known)):
        return None
    return name


def is_whole(known: Mapping[str, object]) -> bool:
    """Whether these are the tensors of a decoder, whose files hold nothing else."""
    return not any(name.startswith("bert.") for name in known)


def exported(model: nn.Module, *, dtype: torch.dtype) -> Iterator[tuple[str, Tensor]]:
    """The tensors of a file for `transformers`, by their names."""
    own = {name: weight.detach() for name, weight in model.named_parameters()}
    if isinstance(model, Classifier):
        # Their probabilities are then the calibrated ones.
        own |= {name: own[name] / own[TEMPERATURE] for name in ("classes.weight", "classes.bias")}
    thirds: dict[str, list[Tensor]] = {}
    for name, place in places(model).items():
        tensor = place.given(own[name])
        if place.third is not None:
            parts = thirds.setdefault(place.name, [])
            parts.append(tensor)
            if len(parts) < 3:
                continue
            tensor = torch.cat(parts, dim=-1)
        yield place.name, tensor.to(dtype).contiguous()
    if isinstance(model, Transformer) and model.unembedding.bias is None:
        yield marian.BIAS, marian.no_bias(model).to(dtype)
