"""The fast form of an encoder-decoder on the CPU: what is done at every token, by `native/`.

The encoder, the embeddings and the reading of a whole target stay the model's own code; a decoder
that writes with a cache is one program, and the unembedding another. The weights of the decoder
are there twice.
"""

import ctypes
from dataclasses import dataclass
from typing import cast, final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from cutaway.inference.beam import Likeliest, likeliest
from cutaway.inference.fast import NativeLinear
from cutaway.inference.native import build
from cutaway.inference.program import (
    MOST_BEAMS,
    At,
    Batch,
    Program,
    Unsupported,
    linear_program,
    run,
    writer_program,
)
from cutaway.inference.quantize import WeightFormat, rounded
from cutaway.models.decoder import Decoder
from cutaway.models.encoder_decoder import EncoderDecoder
from cutaway.nn.attention import CrossAttention
from cutaway.nn.cache import BeamCache, CrossCache, MemoryLayer
from cutaway.nn.stack import CrossStack


@dataclass(frozen=True, kw_only=True)
class AcceleratedPair:
    """An encoder-decoder that computes the same, and how it is carried out."""

    model: EncoderDecoder
    is_native: bool
    """Whether C++ kernels run a part of it; else it is plain PyTorch on the same weights."""
    reason: str
    choose: Likeliest = likeliest
    """What `beam_search` chooses its tokens by."""


def accelerate_pair(model: EncoderDecoder, *, weights: WeightFormat = "fp32") -> AcceleratedPair:
    """A copy of the model with its weights in this format, as fast as this machine allows."""
    module = cast(nn.Module, rounded(cast(Decoder, model), weights=weights))
    copied = cast(EncoderDecoder, module)
    native = build.load()
    reason = native.reason
    device = next(module.parameters()).device
    if native.library is None or device.type != "cpu":
        reason = reason if native.library is None else f"the model is on {device}"
        return AcceleratedPair(model=copied, is_native=False, reason=f"plain PyTorch: {reason}")
    panel = int(native.library.panel_width())
    last = module.get_submodule("unembedding")
    unembedding = linear_program(last, weights=weights, panel=panel, most=MOST_BEAMS)
    module.add_module("unembedding", NativeLinear(unembedding, native.library))
    for name, stack in list(module.named_children()):
        if isinstance(stack, CrossStack):
            try:
                program = writer_program(stack, weights=weights, panel=panel)
            except Unsupported as error:
                reason = f"{reason}; the blocks in plain PyTorch: {error}"
            else:
                module.add_module(name, NativeCrossStack(stack, program, native.library))
    return AcceleratedPair(
        model=copied, is_native=True, reason=reason, choose=NativeLikeliest(native.library)
    )


class NativeCrossStack(nn.Module):
    """Does what a `CrossStack` does, with a cache in one call; never trained."""

    def __init__(self, plain: CrossStack, program: Program, library: ctypes.CDLL) -> None:
        super().__init__()
        self.plain = plain
        self._program, self._library = program, library

    @torch.no_grad()
    def forward(
        self,
        x: Float[Tensor, "B T D"],
        memory: Float[Tensor, "M S D"],
        *,
        positions: Int[Tensor, "#B T"],
        documents: Int[Tensor, "B T"] | None,
        memory_documents: Int[Tensor, "M S"] | None,
        cache: CrossCache | None,
    ) -> Float[Tensor, "B T D"]:
        if cache is None:
            return self.plain(
                x,
                memory,
                positions=positions,
                documents=documents,
                memory_documents=memory_documents,
                cache=None,
            )
        rows, tokens, width = x.shape
        self._read(memory, cache)
        stream = x.reshape(-1, width).float().clone()
        out = torch.empty_like(stream)
        places = positions.expand(rows, tokens).contiguous()
        lengths = _lengths(memory, memory_documents)
        batch = Batch(row_length=tokens, context=self._program.context)
        batch.rows_per_source = rows // len(memory)
        batch.slots = batch.positions = places.data_ptr()
        batch.lineage = cache.own.lineage.data_ptr()
        batch.source_lengths = lengths.data_ptr()
        kept = [*_own(batch, cache.own), *_memory(batch, cache.memory)]
        run(self._program, self._library, stream=stream, out=out, batch=batch)
        del kept
        cache.own.advance(tokens)
        return (out if self._program.result is At.OUT else stream).view_as(x)

    def _read(self, memory: Float[Tensor, "M S D"], cache: CrossCache) -> None:
        """Lets each layer make its keys and values of the memory, where none has yet."""
        for block, layer in zip(self.plain.blocks, cache.memory, strict=True):
            if layer.kept is None:
                part = block.get_submodule("cross_attention")
                assert isinstance(part, CrossAttention)
                key, value = part.read(memory)
                layer.keep(key.float().contiguous(), value.float().contiguous())


@final
class NativeLikeliest:
    """Does what `beam.likeliest` does, reading each row twice and writing nothing in between."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library

    def __call__(
        self, logits: Float[Tensor, "R V"], *, count: int
    ) -> tuple[Float[Tensor, "R N"], Int[Tensor, "R N"]]:
        """Returns the log-probabilities of each row's likeliest tokens, and the tokens."""
        logits = logits.float().contiguous()
        rows, width = logits.shape
        logprobs, tokens = torch.empty(rows, count), torch.empty(rows, count, dtype=torch.int64)
        self._library.choose_likeliest(
            ctypes.c_void_p(logits.data_ptr()),
            *map(ctypes.c_int64, (rows, width, count)),
            ctypes.c_void_p(logprobs.data_ptr()),
            ctypes.c_void_p(tokens.data_ptr()),
            ctypes.c_int64(torch.get_num_threads()),
        )
        return logprobs, tokens


def _lengths(
    memory: Float[Tensor, "M S D"], documents: Int[Tensor, "M S"] | None
) -> Int[Tensor, " M"]:
    """The tokens of each source."""
    sources, longest = memory.shape[:2]
    if documents is None:
        return torch.full((sources,), longest)
    lengths = (documents > 0).sum(dim=1)
    if not (documents > 0).equal(torch.arange(longest) < lengths[:, None]):
        raise ValueError("a source has padding between its tokens; it must stand behind them")
    return lengths


def _own(batch: Batch, cache: BeamCache) -> list[object]:
    """Points a batch to the targets' cache; what is returned must live as long as it does."""
    batch.row_stride, batch.slot_stride, batch.head_stride = cache.keys[0].stride()[:3]
    batch.capacity = cache.capacity
    keys, values = _addresses(cache.keys), _addresses(cache.values)
    batch.keys, batch.values = ctypes.addressof(keys), ctypes.addressof(values)
    return [keys, values]


def _memory(batch: Batch, layers: list[MemoryLayer]) -> list[object]:
    """Points a batch to what the layers keep of the sources."""
    kept = [layer.kept for layer in layers if layer.kept is not None]
    batch.memory_row_stride, batch.memory_head_stride = kept[0][0].stride()[:2]
    keys, values = _addresses([key for key, _ in kept]), _addresses([value for _, value in kept])
    batch.memory_keys, batch.memory_values = ctypes.addressof(keys), ctypes.addressof(values)
    return [keys, values]


def _addresses(tensors: list[Tensor]) -> "ctypes.Array[ctypes.c_void_p]":
    return (ctypes.c_void_p * len(tensors))(*(tensor.data_ptr() for tensor in tensors))
