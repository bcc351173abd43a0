"""GPT-1 (Radford et al. 2018), GPT-2 (Radford et al. 2019) and GPT-3 (Brown et al. 2020)."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from cutaway.nn import init
from cutaway.nn.attention import Attention
from cutaway.nn.block import PostNormBlock, PreNormBlock
from cutaway.nn.cache import KeyValueCache
from cutaway.nn.feedforward import ACTIVATIONS, MLP
from cutaway.nn.norm import LayerNorm
from cutaway.nn.position import LearnedPosition, within_documents
from cutaway.nn.stack import DecoderStack, positions_of
from cutaway.nn.tap import Tap


@dataclass(frozen=True, kw_only=True)
class GPTConfig:
    """The sizes of a GPT."""

    vocab_size: int
    """Tokens in the vocabulary."""
    context_length: int
    """Tokens that the model can read at once."""
    width: int
    """Numbers in a vector of the residual stream."""
    num_layers: int
    """Blocks."""
    num_heads: int
    """Attention heads of a block; must divide the width."""
    norm_placement: Literal["pre", "post"] = "pre"
    """Before each part (GPT-2, GPT-3) or after it (GPT-1)."""
    window: int | None = None
    """Tokens that every second block can read (GPT-3, which gives no width); None: all."""
    hidden_width: int | None = None
    """Width of the feed-forward part; None: four times the width."""
    activation: Literal["gelu_tanh", "gelu", "relu", "silu"] = "gelu_tanh"
    """Of the feed-forward part; the papers' GELU is computed through a tanh."""
    norm_epsilon: float = 1e-5
    """Added to the variance before its root."""
    dropout: float = 0.0
    """Share of activations zeroed in training, 0 to 1."""
    tied: bool = True
    """Whether the unembedding is the transpose of the embedding."""

    def __post_init__(self) -> None:
        if self.width % self.num_heads:
            raise ValueError(
                f"num_heads {self.num_heads} does not divide width {self.width}; "
                "choose a number of heads that does"
            )


class GPT(nn.Module):
    """Tokens and positions to vectors, blocks, then the next token's logits."""

    def __init__(self, config: GPTConfig, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.embedding = nn.Embedding(config.vocab_size, width)
        self.position = LearnedPosition(config.context_length, width)
        self.dropout = nn.Dropout(config.dropout)
        self.embedded = Tap()
        block = PreNormBlock if config.norm_placement == "pre" else PostNormBlock
        self.stack = DecoderStack(
            [
                block(
                    Attention(width, config.num_heads, bias=True, output_bias=True),
                    MLP(
                        width,
                        config.hidden_width or 4 * width,
                        activation=ACTIVATIONS[config.activation](),
                        bias=True,
                    ),
                    attention_norm=LayerNorm(width, epsilon=config.norm_epsilon),
                    feedforward_norm=LayerNorm(width, epsilon=config.norm_epsilon),
                    dropout=config.dropout,
                )
                for _ in range(config.num_layers)
            ],
            windows=[config.window if layer % 2 else None for layer in range(config.num_layers)],
            # A post-norm block has normalised its own output already.
            norm=LayerNorm(width, epsilon=config.norm_epsilon)
            if config.norm_placement == "pre"
            else nn.Identity(),
        )
        self.unembedding = nn.Linear(width, config.vocab_size, bias=False)
        self.logits = Tap()
        if config.tied:
            self.unembedding.weight = self.embedding.weight
        init.gpt(self, num_layers=config.num_layers, generator=generator or torch.Generator())

    def forward(
        self,
        tokens: Int[Tensor, "B T"],
        *,
        documents: Int[Tensor, "B T"] | None = None,
        positions: Int[Tensor, "B T"] | None = None,
        cache: KeyValueCache | None = None,
    ) -> Float[Tensor, "B T V"]:
        x = self.hidden(tokens, documents=documents, positions=positions, cache=cache)
        return self.unembed(x)

    def forward_vectors(
        self,
        vectors: Float[Tensor, "B T D"],
        *,
        documents: Int[Tensor, "B T"] | None = None,
        positions: Int[Tensor, "B T"] | None = None,
        cache: KeyValueCache | None = None,
    ) -> Float[Tensor, "B T V"]:
        """Does the same from vectors instead of tokens."""
        x = self._read(vectors, documents=documents, positions=positions, cache=cache)
        return self.unembed(x)

    def hidden(
        self,
        tokens: Int[Tensor, "B T"],
        *,
        documents: Int[Tensor, "B T"] | None = None,
        positions: Int[Tensor, "B T"] | None = None,
        cache: KeyValueCache | None = None,
    ) -> Float[Tensor, "B T D"]:
        """Returns the vectors that the unembedding reads."""
        vectors = self.embedding(tokens)
        return self._read(vectors, documents=documents, positions=positions, cache=cache)

    def unembed(self, x: Float[Tensor, "B T D"]) -> Float[Tensor, "B T V"]:
        """Turns what `hidden` returns into logits."""
        return self.logits(self.unembedding(x))

    def new_cache(self, rows: int, length: int) -> KeyValueCache:
        """Makes an empty cache for this many rows of at most `length` tokens."""
        config, weight = self.config, self.embedding.weight
        return KeyValueCache(
            layers=config.num_layers,
            rows=rows,
            length=min(length, config.context_length),
            key_value_heads=config.num_heads,
            head_width=config.width // config.num_heads,
            dtype=weight.dtype,
            device=weight.device,
        )

    def _read(
        self,
        vectors: Float[Tensor, "B T D"],
        *,
        documents: Int[Tensor, "B T"] | None,
        positions: Int[Tensor, "B T"] | None,
        cache: KeyValueCache | None,
    ) -> Float[Tensor, "B T D"]:
        if positions is None and documents is not None and cache is None:
            positions = within_documents(documents)
        if positions is None:
            positions = positions_of(vectors.shape[1], cache=cache, device=vectors.device)
        if cache is not None:
            cache.require(vectors.shape[1])
        x = self.embedded(self.dropout(vectors + self.position(positions)))
        return self.stack(x, positions=positions, documents=documents, cache=cache)
