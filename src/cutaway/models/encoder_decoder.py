"""What every encoder-decoder of the family can do: read a source once, write a target from it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor, nn

from cutaway.models.decoder import DecoderConfig


@dataclass(frozen=True, kw_only=True)
class Memory:
    """What an encoder has made of the sources."""

    vectors: Float[Tensor, "M S D"]
    """A vector for each token of each source."""
    documents: Int[Tensor, "M S"] | None = None
    """Which document of its row a token belongs to: 1, 2, ...; 0 is padding; None: no padding."""
    state: Float[Tensor, "L M F"] | None = None
    """What a recurrent decoder starts from."""

    def keep(self, rows: Int[Tensor, " N"]) -> "Memory":
        """Returns the given rows, in the given order."""
        return Memory(
            vectors=self.vectors[rows],
            documents=None if self.documents is None else self.documents[rows],
            state=None if self.state is None else self.state[:, rows],
        )


@runtime_checkable
class DecodingCache(Protocol):
    """What a decoder keeps of the tokens that it has written."""

    def keep(self, rows: Int[Tensor, " R"], *, sources: Int[Tensor, " N"] | None = None) -> None:
        """Keeps the given rows in the given order; `sources` are the memory's rows they read."""


@runtime_checkable
class EncoderDecoder(Protocol):
    """Reads sources as a whole, and gives the next token's logits at each place of the targets."""

    training: bool

    @property
    def config(self) -> DecoderConfig:
        """The sizes of the model; the context length bounds the source and the target each."""

    def __call__(
        self,
        source: Int[Tensor, "B S"],
        tokens: Int[Tensor, "B T"],
        *,
        source_documents: Int[Tensor, "B S"] | None = None,
        documents: Int[Tensor, "B T"] | None = None,
    ) -> Float[Tensor, "B T V"]:
        """The logits; document 0 is padding, and a target reads the source of its own number."""

    def encode(
        self, source: Int[Tensor, "M S"], *, documents: Int[Tensor, "M S"] | None = None
    ) -> Memory:
        """Reads the sources."""

    def hidden(
        self,
        tokens: Int[Tensor, "B T"],
        memory: Memory,
        *,
        documents: Int[Tensor, "B T"] | None = None,
        cache: DecodingCache | None = None,
    ) -> Float[Tensor, "B T D"]:
        """The vectors that the unembedding reads.

        Row r of the targets reads row r // (B / M) of the memory.
        """

    def unembed(self, x: Float[Tensor, "B T D"]) -> Float[Tensor, "B T V"]:
        """The logits of what `hidden` returns."""

    def decode(
        self,
        tokens: Int[Tensor, "B T"],
        memory: Memory,
        *,
        documents: Int[Tensor, "B T"] | None = None,
        cache: DecodingCache | None = None,
    ) -> Float[Tensor, "B T V"]:
        """The logits: `hidden`, then `unembed`."""

    def new_cache(self, rows: int, length: int) -> DecodingCache:
        """An empty cache for this many rows of at most `length` tokens."""

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """The weights."""

    def train(self, mode: bool = True) -> object:
        """Switches dropout on or off."""
