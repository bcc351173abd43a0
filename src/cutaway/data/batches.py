"""What a step learns from: token ids, their targets, and which of the targets count."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, replace
from typing import TypeVar

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

KindOfBatch = TypeVar("KindOfBatch", bound="Batch")


@dataclass(frozen=True, kw_only=True)
class Batch(ABC):
    """Rows of anything that is learned from; every field is a tensor with one entry a row."""

    loss_mask: Bool[Tensor, "B T"]
    """True where the target is learned from."""

    @property
    @abstractmethod
    def num_tokens(self) -> int:
        """Places that a model reads, padding included."""

    def to(self: KindOfBatch, device: torch.device | str) -> KindOfBatch:
        """Copies the batch to a device; a copy to a GPU does not wait for its end."""
        return replace(
            self,
            **{
                field.name: getattr(self, field.name).to(device, non_blocking=True)
                for field in fields(self)
            },
        )

    def chunks(self: KindOfBatch, rows: int) -> list[KindOfBatch]:
        """Cuts the batch into pieces of at most `rows` rows, for gradient accumulation."""
        return [
            replace(
                self,
                **{
                    field.name: getattr(self, field.name)[start : start + rows]
                    for field in fields(self)
                },
            )
            for start in range(0, self.loss_mask.shape[0], rows)
        ]


@dataclass(frozen=True, kw_only=True)
class TokenBatch(Batch):
    """Rows of tokens with the token that follows each of them."""

    tokens: Int64[Tensor, "B T"]
    """Ids that go in."""
    targets: Int64[Tensor, "B T"]
    """The id that follows each token in its document."""
    documents: Int64[Tensor, "B T"]
    """Which document of its row a token belongs to: 1, 2, 3, ...; 0 is padding."""

    @property
    def num_tokens(self) -> int:
        """Places that a model reads, padding included."""
        return self.tokens.numel()


@dataclass(frozen=True, kw_only=True)
class PairBatch(Batch):
    """Rows of pairs: what is read, and what is written after it.

    A row holds one pair, or several side by side; the pairs of a row are numbered from 1, the same
    on both sides, and a target reads the source of its own number only.
    """

    source: Int64[Tensor, "B S"]
    """Ids that are read."""
    source_documents: Int64[Tensor, "B S"]
    """Which pair of its row an id of the source belongs to; 0 is padding."""
    tokens: Int64[Tensor, "B T"]
    """What the decoder reads: the id that begins a text, then the target."""
    targets: Int64[Tensor, "B T"]
    """The target, then the id that ends it."""
    documents: Int64[Tensor, "B T"]
    """Which pair of its row a token of the target belongs to; 0 is padding."""

    @property
    def num_tokens(self) -> int:
        """Places of both sides, padding included."""
        return self.source.numel() + self.tokens.numel()
