"""Where a token stands: learned, by sinusoids (Vaswani 2017, 3.5), by rotation (Su 2021, 3.2.2)."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


def within_documents(documents: Int[Tensor, "B T"]) -> Int[Tensor, "B T"]:
    """Counts positions from the start of each document of a packed row; of padding they are 0."""
    index = torch.arange(documents.shape[1], device=documents.device).expand_as(documents)
    begins = torch.ones_like(documents, dtype=torch.bool)
    begins[:, 1:] = documents[:, 1:] != documents[:, :-1]
    start = torch.cummax(torch.where(begins, index, 0), dim=1).values
    # A row may be longer than the context, and so may its padding.
    return torch.where(documents > 0, index - start, 0)


class LearnedPosition(nn.Module):
    """One learned vector for each position (GPT and BERT)."""

    def __init__(self, context_length: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(context_length, width))

    def forward(self, positions: Int[Tensor, "*B T"]) -> Float[Tensor, "*B T D"]:
        return nn.functional.embedding(positions, self.weight)


class SinusoidPosition(nn.Module):
    """Sines and cosines of geometrically spaced wavelengths; nothing is learned."""

    table: Tensor

    def __init__(self, context_length: int, width: int) -> None:
        super().__init__()
        position = torch.arange(context_length)[:, None]
        frequency = torch.exp(torch.arange(0, width, 2) * (-math.log(10_000.0) / width))
        table = torch.zeros(context_length, width)
        table[:, 0::2] = torch.sin(position * frequency)
        table[:, 1::2] = torch.cos(position * frequency)[:, : width // 2]
        self.register_buffer("table", table, persistent=False)

    def forward(self, positions: Int[Tensor, "*B T"]) -> Float[Tensor, "*B T D"]:
        return self.table[positions]


@dataclass(frozen=True, kw_only=True)
class LinearScaling:
    """Turns every pair more slowly: a context of so many times the length (Chen et al. 2023, 3.2).

    "Extending Context Window of Large Language Models via Positional Interpolation".
    """

    factor: float
    """How many times as slowly."""

    def __call__(self, frequency: Float[Tensor, " N"]) -> Float[Tensor, " N"]:
        return frequency / self.factor


@dataclass(frozen=True, kw_only=True)
class LlamaScaling:
    """Turns the slow pairs more slowly and leaves the fast ones alone, as Llama 3.1 does.

    By how often a pair turns round within the old context (Peng et al. 2023, YaRN, section 3.2).
    """

    factor: float
    """How many times as slowly the slow pairs turn."""
    low: float
    """Turns within the old context, up to which a pair is slow."""
    high: float
    """Turns from which on a pair is left alone; between the two it is mixed."""
    original_length: int
    """Tokens of the old context."""

    def __call__(self, frequency: Float[Tensor, " N"]) -> Float[Tensor, " N"]:
        turns = self.original_length * frequency / (2 * math.pi)
        kept = ((turns - self.low) / (self.high - self.low)).clamp(0, 1)
        return frequency * (kept + (1 - kept) / self.factor)


class Rotary(nn.Module):
    """Rotates pairs of channels by an angle that grows with position.

    Channel c is paired with channel c + C/2, as the Llama weights of Hugging Face expect; the paper
    pairs neighbours, which is the same up to a permutation of channels.
    """

    cosine: Tensor
    sine: Tensor

    def __init__(
        self,
        context_length: int,
        head_width: int,
        *,
        base: float = 10_000.0,
        scaling: "LinearScaling | LlamaScaling | None" = None,
    ) -> None:
        super().__init__()
        frequency = base ** (-torch.arange(0, head_width, 2, dtype=torch.float64) / head_width)
        if scaling is not None:
            frequency = scaling(frequency)
        angle = torch.arange(context_length, dtype=torch.float64)[:, None] * frequency
        angle = torch.cat([angle, angle], dim=-1)
        self.register_buffer("cosine", angle.cos().float(), persistent=False)
        self.register_buffer("sine", angle.sin().float(), persistent=False)

    def forward(
        self, x: Float[Tensor, "B N T C"], *, positions: Int[Tensor, "#B T"]
    ) -> Float[Tensor, "B N T C"]:
        cosine = self.cosine[positions][:, None].to(x.dtype)  # (B, 1, T, C)
        sine = self.sine[positions][:, None].to(x.dtype)
        first, second = x.chunk(2, dim=-1)
        return x * cosine + torch.cat([-second, first], dim=-1) * sine
