"""The fast form of a decoder on the CPU: its blocks as one program, run by `native/decoder.cpp`.

Only the stack of blocks and the unembedding are replaced. What stands around them (embeddings,
positions, the cap on logits, the cache) stays the model's own code, so the result keeps the
contract of a decoder. Taps inside the blocks are gone: to look inside, open the plain model.
"""

import ctypes
from dataclasses import dataclass
from typing import cast, final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from cutaway.inference.native import build
from cutaway.inference.program import (
    At,
    Batch,
    Kind,
    Program,
    Unsupported,
    decoder_program,
    linear_program,
    run,
)
from cutaway.inference.quantize import WeightFormat, rounded
from cutaway.models.decoder import Decoder
from cutaway.nn.cache import KeyValueCache
from cutaway.nn.position import within_documents


@dataclass(frozen=True, kw_only=True)
class Accelerated:
    """A decoder with the same forward, hidden and cache, and how it is carried out."""

    model: Decoder
    is_native: bool
    """Whether the C++ kernels run it; else it is plain PyTorch on the same rounded weights."""
    reason: str


def accelerate(model: Decoder, *, weights: WeightFormat = "fp32") -> Accelerated:
    """A copy of the model with its weights in this format, as fast as this machine allows."""
    copied = rounded(model, weights=weights)
    native = build.load()
    if native.library is None:
        return Accelerated(model=copied, is_native=False, reason=f"plain PyTorch: {native.reason}")
    module = cast(nn.Module, copied)
    device = next(module.parameters()).device
    if device.type != "cpu":
        return Accelerated(
            model=copied, is_native=False, reason=f"plain PyTorch: the model is on {device}"
        )
    try:
        stack, unembedding = module.get_submodule("stack"), module.get_submodule("unembedding")
        panel = int(native.library.panel_width())
        program = decoder_program(stack, weights=weights, panel=panel)
        last = linear_program(unembedding, weights=weights, panel=panel)
    except (Unsupported, AttributeError) as error:
        return Accelerated(model=copied, is_native=False, reason=f"plain PyTorch: {error}")
    module.add_module("stack", NativeStack(program, native.library))
    module.add_module("unembedding", NativeLinear(last, native.library))
    return Accelerated(model=copied, is_native=True, reason=native.reason)


@final
class Following:
    """Makes the fast form of a model that goes on learning, whenever its weights are asked for."""

    def __init__(self, model: Decoder) -> None:
        self._model = model
        weights = list(model.parameters())
        # Where it would not be faster, no memory is spent on a copy.
        self._is_worth_it = all(
            weight.dtype == torch.float32 and weight.device.type == "cpu" for weight in weights
        )

    def now(self) -> Decoder:
        """A copy with the weights as they are now; where nothing is faster, the model itself."""
        if self._is_worth_it:
            found = accelerate(self._model)
            self._is_worth_it = found.is_native
            if found.is_native:
                return found.model
        return self._model


class NativeStack(nn.Module):
    """Does what a `DecoderStack` does, in one call; never trained."""

    def __init__(self, program: Program, library: ctypes.CDLL) -> None:
        super().__init__()
        self._program, self._library = program, library

    @torch.no_grad()
    def forward(
        self,
        x: Float[Tensor, "B T D"],
        *,
        positions: Int[Tensor, "#B T"],
        documents: Int[Tensor, "B T"] | None,
        cache: KeyValueCache | None,
        first: Float[Tensor, "B T D"] | None = None,
    ) -> Float[Tensor, "B T D"]:
        rows, tokens, width = x.shape
        starts = None
        if cache is None:
            cache = _cache_for_once(self._program, rows=rows, tokens=tokens)
            if documents is not None:
                starts = _starts(documents)
        cache.require(tokens)
        slots = cache.positions(tokens).contiguous()
        positions = positions.expand(rows, tokens).contiguous()
        stream = x.reshape(-1, width).clone()
        again = None if first is None else first.reshape(-1, width).contiguous()
        out = torch.empty_like(stream)
        batch = Batch(row_length=tokens, context=self._program.context)
        addresses = _read_and_write(batch, cache)
        batch.slots, batch.positions = slots.data_ptr(), positions.data_ptr()
        batch.starts = None if starts is None else starts.data_ptr()
        run(self._program, self._library, stream=stream, first=again, out=out, batch=batch)
        del addresses
        cache.advance(tokens if documents is None else (documents > 0).sum(dim=1))
        return (out if self._program.result is At.OUT else stream).view_as(x)


class NativeLinear(nn.Module):
    """A linear map whose weights are read at the speed of the memory."""

    def __init__(self, program: Program, library: ctypes.CDLL) -> None:
        super().__init__()
        self._program, self._library = program, library

    @torch.no_grad()
    def forward(self, x: Float[Tensor, "B T D"]) -> Float[Tensor, "B T V"]:
        rows, tokens, width = x.shape
        vectors = x.reshape(-1, width).contiguous()
        out = torch.empty(rows * tokens, self._program.widths[At.OUT])
        run(self._program, self._library, stream=vectors, out=out, batch=Batch())
        return out.view(rows, tokens, out.shape[1])


def _starts(documents: Int[Tensor, "B T"]) -> Int[Tensor, "B T"]:
    """The place in its row where each token's document begins."""
    place = torch.arange(documents.shape[1]).expand_as(documents)
    return (place - within_documents(documents)).contiguous()


def _cache_for_once(program: Program, *, rows: int, tokens: int) -> KeyValueCache:
    """Keys and values need a place even where nothing is kept of them."""
    layers = [step for step in program.steps if step.kind == Kind.ATTEND]
    return KeyValueCache(
        layers=len(layers),
        rows=rows,
        length=tokens,
        key_value_heads=layers[0].shared_heads,
        head_width=layers[0].channels,
    )


def _read_and_write(batch: Batch, cache: KeyValueCache) -> list[object]:
    """Points a batch to a cache; what is returned must live as long as it does."""
    if cache.keys[0].dtype != torch.float32:
        raise ValueError(f"the cache holds {cache.keys[0].dtype}; it must be torch.float32")
    keys = (ctypes.c_void_p * len(cache.keys))(*(key.data_ptr() for key in cache.keys))
    values = (ctypes.c_void_p * len(cache.values))(*(value.data_ptr() for value in cache.values))
    batch.keys, batch.values = ctypes.addressof(keys), ctypes.addressof(values)
    batch.row_stride, batch.head_stride, batch.slot_stride = cache.keys[0].stride()[:3]
    batch.capacity = cache.keys[0].shape[2]
    return [keys, values]
