"""What every decoder of the family can do: the seam that inference, evaluation and lab build on."""

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor, nn

from cutaway.nn.cache import KeyValueCache


@runtime_checkable
class DecoderConfig(Protocol):
    """The sizes that every decoder has."""

    @property
    def vocab_size(self) -> int:
        """Tokens in the vocabulary."""

    @property
    def context_length(self) -> int:
        """Tokens that the model can read at once."""

    @property
    def num_layers(self) -> int:
        """Blocks."""


@runtime_checkable
class Decoder(Protocol):
    """Reads tokens from left to right and gives the next token's logits at each of them."""

    training: bool

    @property
    def config(self) -> DecoderConfig:
        """The sizes of the model."""

    def __call__(
        self,
        tokens: Int[Tensor, "B T"],
        *,
        documents: Int[Tensor, "B T"] | None = None,
        positions: Int[Tensor, "B T"] | None = None,
        cache: KeyValueCache | None = None,
    ) -> Float[Tensor, "B T V"]:
        """The logits; document 0 is padding, and tokens in the cache are read, too."""

    def hidden(
        self,
        tokens: Int[Tensor, "B T"],
        *,
        documents: Int[Tensor, "B T"] | None = None,
        positions: Int[Tensor, "B T"] | None = None,
        cache: KeyValueCache | None = None,
    ) -> Float[Tensor, "B T D"]:
        """The vectors that the unembedding reads."""

    def unembed(self, x: Float[Tensor, "B T D"]) -> Float[Tensor, "B T V"]:
        """The logits of what `hidden` returns."""

    def new_cache(self, rows: int, length: int) -> KeyValueCache:
        """An empty cache for this many rows of at most `length` tokens."""

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """The weights."""

    def train(self, mode: bool = True) -> object:
        """Switches dropout on or off."""
