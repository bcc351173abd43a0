"""A decoder's blocks as a list of steps over registers, which `native/decoder.cpp` carries out.

A register holds one row of numbers for each token. What a module does is said here once more, step
by step; a module that is not known here has no program, and a test holds the others equal to it.
"""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cutaway.inference.pages import Pages
from cutaway.inference.quantize import FORMATS, WeightFormat, stored
from cutaway.models.speedrun import RereadingBlock
from cutaway.nn.attention import Attention, CrossAttention
from cutaway.nn.block import CrossPostNormBlock, CrossPreNormBlock, PostNormBlock, PreNormBlock
from cutaway.nn.feedforward import MLP, SquaredReLU, SwiGLU
from cutaway.nn.norm import LayerNorm, RMSNorm, UnitRMSNorm
from cutaway.nn.stack import CrossStack, DecoderStack


class Unsupported(Exception):
    """A module that has no program."""


class Kind(IntEnum):
    """What a step does; the same names in the same order as in C++."""

    PRODUCT, NORM, ROTATE, ATTEND, GATE, ACTIVATE, MIX, ATTEND_MEMORY = range(8)


class At(IntEnum):
    """The registers: a row for each token."""

    STREAM, NORMED, HEADS, MIXED, WIDE, HIDDEN, FIRST, OUT = range(8)


class Activation(IntEnum):
    """The activations of an `MLP`."""

    GELU, SQUARED_RELU, RELU, SILU = range(4)


_I, _P = ctypes.c_int64, ctypes.c_void_p


class Step(ctypes.Structure):
    """One step, as C++ reads it."""

    _fields_ = (
        *((name, _I) for name in ("kind", "source", "to", "option", "inputs", "outputs")),
        *((name, _I) for name in ("offset", "is_added", "layer", "heads", "shared_heads")),
        *((name, _I) for name in ("channels", "window")),
        *((name, _P) for name in ("weight", "scale", "bias")),
        *((name, ctypes.c_double) for name in ("first", "second")),
    )


class Batch(ctypes.Structure):
    """The tokens of a call and their cache, as C++ reads them."""

    _fields_ = (
        *((name, _I) for name in ("tokens", "row_length", "from_token", "most")),
        *((name, _P) for name in ("slots", "positions", "starts", "keys", "values")),
        *((name, _I) for name in ("row_stride", "head_stride", "capacity", "context")),
        *((name, _P) for name in ("stream", "first", "out", "scratch")),
        ("slot_stride", _I),
        ("lineage", _P),
        ("rows_per_source", _I),
        *((name, _P) for name in ("source_lengths", "memory_keys", "memory_values")),
        *((name, _I) for name in ("memory_row_stride", "memory_head_stride")),
    )


MOST_TOKENS = 96
"""Tokens that are taken at once: their vectors stay in the cache of the processor."""

MOST_BEAMS = 256
"""The same for beams, of which each has one token: fewer readings of the weights count for more."""


@dataclass(kw_only=True)
class Program:
    """Steps, with the weights that they point to."""

    weights: WeightFormat
    panel: int
    """Outputs whose weights lie together; the compiled library says how many."""
    steps: list[Step] = field(default_factory=list)
    widths: list[int] = field(default_factory=lambda: [0] * len(At))
    """Numbers of a token in each register."""
    most: int = MOST_TOKENS
    """Tokens that are taken at once."""
    result: At = At.OUT
    """The register that holds what the program computes."""
    context: int = 2**62
    """Positions that have an angle."""
    pages: Pages = field(default_factory=Pages)
    """Where the weights lie."""
    tensors: list[Tensor] = field(default_factory=list)
    """What the steps point to, kept alive."""

    @cached_property
    def table(self) -> "ctypes.Array[Step]":
        """The steps as C++ reads them, once all are there."""
        return (Step * len(self.steps))(*self.steps)

    @cached_property
    def width_table(self) -> "ctypes.Array[ctypes.c_int64]":
        """The widths of the registers, as C++ reads them."""
        return (_I * len(At))(*self.widths)

    @cached_property
    def scratch_width(self) -> int:
        """Numbers of a token in all registers that do not come with a call."""
        return sum(self.widths[At.NORMED : At.FIRST])

    def needs(self, register: At, width: int) -> int:
        """Makes a register at least this wide, and returns it."""
        self.widths[register] = max(self.widths[register], width)
        return int(register)

    def point(self, tensor: Tensor) -> int:
        """The address of a tensor, which then stays where it is."""
        self.tensors.append(tensor)
        return tensor.data_ptr()

    def product(
        self, linears: Sequence[nn.Module], source: At, to: At, *, is_added: bool = False
    ) -> None:
        """`to` becomes (or grows by) the outputs of these linear maps, side by side."""
        for linear in linears:
            if type(linear) is not nn.Linear:
                raise Unsupported(f"{type(linear).__name__} is no linear map that it knows")
        maps = [linear for linear in linears if isinstance(linear, nn.Linear)]
        rows = [stored(linear.weight, weights=self.weights) for linear in maps]
        outputs, inputs = sum(len(part.codes) for part in rows), rows[0].codes.shape[1]
        step = Step(kind=Kind.PRODUCT, source=self.needs(source, inputs))
        step.to, step.is_added = self.needs(to, outputs), is_added
        step.option, step.inputs, step.outputs = FORMATS.index(self.weights), inputs, outputs
        codes = packed(torch.cat([part.codes for part in rows]), self.panel)
        step.weight = self.point(self.pages.place(codes))
        scales = [part.scales for part in rows if part.scales is not None]
        if scales:
            step.scale = self.point(padded(torch.cat(scales), self.panel))
        biases = [linear.bias.detach() for linear in maps if linear.bias is not None]
        if biases:
            if len(biases) < len(maps):
                raise Unsupported("only some of the maps side by side have a bias")
            step.bias = self.point(padded(torch.cat(biases), self.panel))
        self.steps.append(step)

    def norm(
        self, norm: nn.Module, source: At, to: At, *, width: int, groups: int = 1, offset: int = 0
    ) -> None:
        """Normalises `groups` vectors of a row, from `offset` on."""
        if type(norm) is nn.Identity:
            return
        step = Step(kind=Kind.NORM, inputs=width, outputs=groups, offset=offset, second=1.0)
        step.source = self.needs(source, offset + groups * width)
        step.to = self.needs(to, offset + groups * width)
        if isinstance(norm, LayerNorm):
            step.option, step.weight = 1, self.point(norm.weight.detach())
            step.bias = self.point(norm.bias.detach())
        elif isinstance(norm, RMSNorm):
            step.weight = self.point(norm.weight.detach())
        elif isinstance(norm, UnitRMSNorm):
            step.second = norm.scale
        else:
            raise Unsupported(f"{type(norm).__name__} is no norm that it knows")
        step.first = norm.epsilon
        self.steps.append(step)

    def attention(self, part: Attention, source: At, *, layer: int, window: int | None) -> None:
        """Adds to the stream what attention reads from `source`."""
        heads, shared, channels = part.num_heads, part.num_key_value_heads, part.head_width
        maps = [part.query_projection, part.key_projection, part.value_projection]
        self.product(maps, source, At.HEADS)
        self.norm(part.query_norm, At.HEADS, At.HEADS, width=channels, groups=heads)
        self.norm(
            part.key_norm,
            At.HEADS,
            At.HEADS,
            width=channels,
            groups=shared,
            offset=heads * channels,
        )
        for kind in (Kind.ROTATE, Kind.ATTEND):
            step = Step(kind=kind, layer=layer, heads=heads, shared_heads=shared)
            step.source, step.channels, step.window = At.HEADS, channels, window or 0
            step.to = At.HEADS
            self.steps.append(step)
        self.steps[-1].to = self.needs(At.MIXED, heads * channels)
        if part.rotary is not None:
            rotation = self.steps[-2]
            rotation.scale = self.point(part.rotary.cosine)
            rotation.bias = self.point(part.rotary.sine)
            self.context = len(part.rotary.cosine)
        self.product([part.output_projection], At.MIXED, At.STREAM, is_added=True)

    def cross_attention(self, part: CrossAttention, source: At, *, layer: int) -> None:
        """Adds to the stream what `source` reads in the memory."""
        heads, channels = part.num_heads, part.head_width
        self.product([part.query_projection], source, At.HEADS)
        step = Step(kind=Kind.ATTEND_MEMORY, source=At.HEADS, layer=layer, heads=heads)
        step.channels, step.to = channels, self.needs(At.MIXED, heads * channels)
        self.steps.append(step)
        self.product([part.output_projection], At.MIXED, At.STREAM, is_added=True)

    def feedforward(self, part: nn.Module, source: At) -> None:
        """Adds to the stream what the feed-forward part makes of `source`."""
        if isinstance(part, SwiGLU):
            hidden = part.gate.out_features
            self.product([part.gate, part.up], source, At.WIDE)
            step = Step(kind=Kind.GATE, source=At.WIDE, to=self.needs(At.HIDDEN, hidden))
        elif isinstance(part, MLP):
            hidden = part.up.out_features
            self.product([part.up], source, At.HIDDEN)
            step = Step(kind=Kind.ACTIVATE, source=At.HIDDEN, to=At.HIDDEN)
            step.option = _activation(part.activation)
        else:
            raise Unsupported(f"{type(part).__name__} is no feed-forward part that it knows")
        step.outputs = hidden
        self.steps.append(step)
        self.product([part.down], At.HIDDEN, At.STREAM, is_added=True)


def decoder_program(stack: nn.Module, *, weights: WeightFormat, panel: int) -> Program:
    """What a stack of blocks does to its vectors.

    Raises:
        Unsupported: it holds a module that is not known here.
    """
    if not isinstance(stack, DecoderStack):
        raise Unsupported(f"{type(stack).__name__} is no stack that it knows")
    program = Program(weights=weights, panel=panel)
    for layer, (block, window) in enumerate(zip(stack.blocks, stack.windows, strict=True)):
        _add_block(program, block, layer=layer, window=window)
    _end(program, stack.norm)
    return program


def writer_program(stack: nn.Module, *, weights: WeightFormat, panel: int) -> Program:
    """What a stack of blocks that read a memory does to its vectors.

    Raises:
        Unsupported: it holds a module that is not known here.
    """
    if not isinstance(stack, CrossStack):
        raise Unsupported(f"{type(stack).__name__} is no stack that it knows")
    program = Program(weights=weights, panel=panel, most=MOST_BEAMS)
    for layer, block in enumerate(stack.blocks):
        _add_cross_block(program, block, layer=layer)
    _end(program, stack.norm)
    return program


def linear_program(
    linear: nn.Module, *, weights: WeightFormat, panel: int, most: int = MOST_TOKENS
) -> Program:
    """One product: the unembedding.

    Raises:
        Unsupported: it is no linear map.
    """
    program = Program(weights=weights, panel=panel, most=most)
    program.product([linear], At.STREAM, At.OUT)
    return program


def packed(codes: Tensor, panel: int) -> Tensor:
    """Lays the weights of `panel` outputs together, input by input, as they will be read."""
    codes = padded(codes, panel)
    return codes.view(-1, panel, codes.shape[1]).transpose(1, 2).contiguous()


def padded(rows: Tensor, panel: int) -> Tensor:
    """Adds zeros up to whole panels."""
    missing = torch.zeros(-len(rows) % panel, *rows.shape[1:], dtype=rows.dtype)
    return torch.cat([rows, missing])


def _add_block(program: Program, block: nn.Module, *, layer: int, window: int | None) -> None:
    if isinstance(block, PreNormBlock | RereadingBlock):
        width = block.attention.query_projection.in_features
        before_attention: nn.Module
        before_feedforward: nn.Module
        if isinstance(block, RereadingBlock):
            mix = Step(kind=Kind.MIX, source=At.FIRST, to=At.STREAM, outputs=width)
            mix.first, mix.second = block.mix.tolist()
            program.needs(At.FIRST, width)
            program.steps.append(mix)
            before_attention = before_feedforward = block.norm
        else:
            before_attention, before_feedforward = block.attention_norm, block.feedforward_norm
        program.norm(before_attention, At.STREAM, At.NORMED, width=width)
        program.attention(block.attention, At.NORMED, layer=layer, window=window)
        program.norm(before_feedforward, At.STREAM, At.NORMED, width=width)
        program.feedforward(block.feedforward, At.NORMED)
    elif isinstance(block, PostNormBlock):
        width = block.attention.query_projection.in_features
        program.attention(block.attention, At.STREAM, layer=layer, window=window)
        program.norm(block.attention_norm, At.STREAM, At.STREAM, width=width)
        program.feedforward(block.feedforward, At.STREAM)
        program.norm(block.feedforward_norm, At.STREAM, At.STREAM, width=width)
    else:
        raise Unsupported(f"{type(block).__name__} is no block that it knows")


def _add_cross_block(program: Program, block: nn.Module, *, layer: int) -> None:
    if isinstance(block, CrossPreNormBlock):
        width = block.attention.query_projection.in_features
        program.norm(block.attention_norm, At.STREAM, At.NORMED, width=width)
        program.attention(block.attention, At.NORMED, layer=layer, window=None)
        program.norm(block.cross_norm, At.STREAM, At.NORMED, width=width)
        program.cross_attention(block.cross_attention, At.NORMED, layer=layer)
        program.norm(block.feedforward_norm, At.STREAM, At.NORMED, width=width)
        program.feedforward(block.feedforward, At.NORMED)
    elif isinstance(block, CrossPostNormBlock):
        width = block.attention.query_projection.in_features
        program.attention(block.attention, At.STREAM, layer=layer, window=None)
        program.norm(block.attention_norm, At.STREAM, At.STREAM, width=width)
        program.cross_attention(block.cross_attention, At.STREAM, layer=layer)
        program.norm(block.cross_norm, At.STREAM, At.STREAM, width=width)
        program.feedforward(block.feedforward, At.STREAM)
        program.norm(block.feedforward_norm, At.STREAM, At.STREAM, width=width)
    else:
        raise Unsupported(f"{type(block).__name__} is no block that it knows")


def _end(program: Program, norm: nn.Module) -> None:
    width = program.widths[At.STREAM]
    if type(norm) is nn.Identity:
        program.result = At.STREAM
    program.norm(norm, At.STREAM, At.OUT, width=width)


def _activation(activation: nn.Module) -> Activation:
    if isinstance(activation, SquaredReLU):
        return Activation.SQUARED_RELU
    if isinstance(activation, nn.GELU) and activation.approximate == "tanh":
        return Activation.GELU
    if isinstance(activation, nn.ReLU):
        return Activation.RELU
    if isinstance(activation, nn.SiLU):
        return Activation.SILU
    raise Unsupported(f"{activation} is no activation that it knows")


def run(
    program: Program,
    library: ctypes.CDLL,
    *,
    stream: Float[Tensor, "N D"],
    first: Float[Tensor, "N D"] | None = None,
    out: Float[Tensor, "N E"],
    batch: Batch,
) -> None:
    """Carries a program out on all tokens of a batch; `stream` is overwritten.

    Raises:
        ValueError: a token stands where the cache has no slot or the rotation no angle.
    """
    batch.tokens, batch.most = len(stream), program.most
    scratch = torch.empty(min(len(stream), program.most) * program.scratch_width)
    batch.stream, batch.out = stream.data_ptr(), out.data_ptr()
    batch.first = None if first is None else first.data_ptr()
    batch.scratch = scratch.data_ptr()
    outside = library.run(
        program.table,
        _I(len(program.steps)),
        program.width_table,
        ctypes.byref(batch),
        _I(torch.get_num_threads()),
    )
    if outside:
        raise ValueError(f"{outside} tokens stand beyond the model's {program.context} positions")
