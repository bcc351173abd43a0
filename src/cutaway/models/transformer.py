"""The Transformer (Vaswani et al. 2017, section 3): an encoder reads, a decoder writes.

Differences from the paper, each by a setting: norms before the parts instead of after them, and
embeddings that are not shared.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from cutaway.models.encoder_decoder import Memory
from cutaway.nn import init
from cutaway.nn.attention import Attention, CrossAttention
from cutaway.nn.block import CrossPostNormBlock, CrossPreNormBlock, PostNormBlock, PreNormBlock
from cutaway.nn.cache import BeamCache, CrossCache
from cutaway.nn.feedforward import ACTIVATIONS, MLP
from cutaway.nn.norm import LayerNorm
from cutaway.nn.position import SinusoidPosition, within_documents
from cutaway.nn.stack import CrossStack, EncoderStack, positions_of
from cutaway.nn.tap import Tap


@dataclass(frozen=True, kw_only=True)
class TransformerConfig:
    """The sizes of a Transformer."""

    vocab_size: int
    """Tokens in the vocabulary, which both sides share."""
    context_length: int
    """Tokens that a source may have, and a target."""
    width: int
    """Numbers in a vector of the residual stream."""
    num_layers: int
    """Blocks of the decoder."""
    num_heads: int
    """Attention heads of a block; must divide the width."""
    num_encoder_layers: int | None = None
    """Blocks of the encoder; None: as many as the decoder has."""
    hidden_width: int | None = None
    """Width of the feed-forward part; None: four times the width."""
    norm_placement: Literal["pre", "post"] = "post"
    """After each part (the paper) or before it."""
    activation: Literal["gelu_tanh", "gelu", "relu", "silu"] = "relu"
    """Of the feed-forward part."""
    norm_epsilon: float = 1e-5
    """Added to the variance before its root."""
    dropout: float = 0.1
    """Share of activations zeroed in training, 0 to 1."""
    tied: bool = True
    """Whether both embeddings and the unembedding are one matrix (section 3.4)."""
    logits_bias: bool = False
    """Whether each token has a bias of its own in the logits, as Marian's have."""

    def __post_init__(self) -> None:
        if self.width % self.num_heads:
            raise ValueError(
                f"num_heads {self.num_heads} does not divide width {self.width}; "
                "choose a number of heads that does"
            )


class Transformer(nn.Module):
    """Source to memory, then memory and target to the next token's logits."""

    def __init__(
        self, config: TransformerConfig, *, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.embedding = nn.Embedding(config.vocab_size, width)
        self.target_embedding = nn.Embedding(config.vocab_size, width)
        self.position = SinusoidPosition(config.context_length, width)
        self.dropout = nn.Dropout(config.dropout)
        self.source_embedded, self.embedded = Tap(), Tap()
        is_pre = config.norm_placement == "pre"
        layers = config.num_layers
        if config.num_encoder_layers is not None:
            layers = config.num_encoder_layers
        encoder_block = PreNormBlock if is_pre else PostNormBlock
        self.encoder = EncoderStack(
            [
                encoder_block(
                    self._attention(),
                    self._feedforward(),
                    attention_norm=self._norm(),
                    feedforward_norm=self._norm(),
                    dropout=config.dropout,
                )
                for _ in range(layers)
            ],
            # A post-norm block has normalised its own output already.
            norm=self._norm() if is_pre else nn.Identity(),
        )
        decoder_block = CrossPreNormBlock if is_pre else CrossPostNormBlock
        self.stack = CrossStack(
            [
                decoder_block(
                    self._attention(),
                    CrossAttention(width, config.num_heads, bias=True),
                    self._feedforward(),
                    attention_norm=self._norm(),
                    cross_norm=self._norm(),
                    feedforward_norm=self._norm(),
                    dropout=config.dropout,
                )
                for _ in range(config.num_layers)
            ],
            norm=self._norm() if is_pre else nn.Identity(),
        )
        self.unembedding = nn.Linear(width, config.vocab_size, bias=config.logits_bias)
        self.logits = Tap()
        if config.tied:
            self.target_embedding.weight = self.unembedding.weight = self.embedding.weight
        init.xavier(self, generator=generator or torch.Generator())

    def _attention(self) -> Attention:
        return Attention(self.config.width, self.config.num_heads, bias=True, output_bias=True)

    def _feedforward(self) -> MLP:
        config = self.config
        hidden = 4 * config.width if config.hidden_width is None else config.hidden_width
        return MLP(config.width, hidden, activation=ACTIVATIONS[config.activation](), bias=True)

    def _norm(self) -> LayerNorm:
        return LayerNorm(self.config.width, epsilon=self.config.norm_epsilon)

    def forward(
        self,
        source: Int[Tensor, "B S"],
        tokens: Int[Tensor, "B T"],
        *,
        source_documents: Int[Tensor, "B S"] | None = None,
        documents: Int[Tensor, "B T"] | None = None,
    ) -> Float[Tensor, "B T V"]:
        memory = self.encode(source, documents=source_documents)
        return self.decode(tokens, memory, documents=documents)

    def encode(
        self, source: Int[Tensor, "M S"], *, documents: Int[Tensor, "M S"] | None = None
    ) -> Memory:
        """Reads the sources; packed documents do not see each other."""
        positions = self._positions(source, documents=documents)
        vectors = self.embedding(source) * math.sqrt(self.config.width)
        x = self.source_embedded(self.dropout(vectors + self.position(positions)))
        x = self.encoder(x, positions=positions, documents=documents)
        return Memory(vectors=x, documents=documents)

    def hidden(
        self,
        tokens: Int[Tensor, "B T"],
        memory: Memory,
        *,
        documents: Int[Tensor, "B T"] | None = None,
        cache: CrossCache | None = None,
    ) -> Float[Tensor, "B T D"]:
        """Returns the vectors that the unembedding reads.

        Row r of the targets reads row r // (B / M) of the memory.
        """
        if cache is None:
            positions = self._positions(tokens, documents=documents)
        else:
            cache.own.require(tokens.shape[1])
            positions = cache.own.positions(tokens.shape[1])
        vectors = self.target_embedding(tokens) * math.sqrt(self.config.width)
        x = self.embedded(self.dropout(vectors + self.position(positions)))
        return self.stack(
            x,
            memory.vectors,
            positions=positions,
            documents=documents,
            memory_documents=memory.documents,
            cache=cache,
        )

    def unembed(self, x: Float[Tensor, "B T D"]) -> Float[Tensor, "B T V"]:
        """Turns what `hidden` returns into logits."""
        return self.logits(self.unembedding(x))

    def decode(
        self,
        tokens: Int[Tensor, "B T"],
        memory: Memory,
        *,
        documents: Int[Tensor, "B T"] | None = None,
        cache: CrossCache | None = None,
    ) -> Float[Tensor, "B T V"]:
        """Returns the logits of the next tokens."""
        return self.unembed(self.hidden(tokens, memory, documents=documents, cache=cache))

    def new_cache(self, rows: int, length: int) -> CrossCache:
        """Makes an empty cache for this many rows of at most `length` tokens."""
        config, weight = self.config, self.embedding.weight
        own = BeamCache(
            layers=config.num_layers,
            rows=rows,
            length=min(length, config.context_length),
            key_value_heads=config.num_heads,
            head_width=config.width // config.num_heads,
            dtype=weight.dtype,
            device=weight.device,
        )
        return CrossCache(own, layers=config.num_layers)

    def _positions(
        self, tokens: Int[Tensor, "B T"], *, documents: Int[Tensor, "B T"] | None
    ) -> Int[Tensor, "#B T"]:
        if documents is None:
            return positions_of(tokens.shape[1], cache=None, device=tokens.device)
        return within_documents(documents)
