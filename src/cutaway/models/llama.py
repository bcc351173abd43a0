"""The Llama style (Touvron et al. 2023): RMSNorm, rotary positions, SwiGLU, grouped heads."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from cutaway.nn import init
from cutaway.nn.attention import Attention
from cutaway.nn.block import PreNormBlock
from cutaway.nn.cache import KeyValueCache
from cutaway.nn.feedforward import SwiGLU
from cutaway.nn.norm import RMSNorm
from cutaway.nn.position import LinearScaling, LlamaScaling, Rotary
from cutaway.nn.stack import DecoderStack, positions_of
from cutaway.nn.tap import Tap


@dataclass(frozen=True, kw_only=True)
class LlamaConfig:
    """The sizes of a Llama-style decoder."""

    vocab_size: int
    """Tokens in the vocabulary."""
    context_length: int
    """Tokens that the model can read at once."""
    width: int
    """Numbers in a vector of the residual stream."""
    num_layers: int
    """Blocks."""
    num_heads: int
    """Query heads of a block."""
    num_key_value_heads: int
    """Key/value heads of a block; must divide the query heads (Ainslie et al. 2023)."""
    hidden_width: int
    """Width of the feed-forward part."""
    head_width: int | None = None
    """Channels of a head; None: width / num_heads."""
    rotary_base: float = 10_000.0
    """Base of the rotation's wavelengths."""
    rotary_scaling: Literal["none", "linear", "llama3"] = "none"
    """How the rotation was slowed for a longer context: all pairs, or the slow ones (Llama 3.1)."""
    rotary_factor: float = 1.0
    """How many times as slowly; above 0."""
    rotary_low: float = 1.0
    """llama3: turns within the old context up to which a pair is slow."""
    rotary_high: float = 4.0
    """llama3: turns from which on a pair is left alone; above `rotary_low`."""
    rotary_original_length: int = 8192
    """llama3: tokens of the old context."""
    norm_epsilon: float = 1e-5
    """Added to the mean square before its root."""
    query_key_norm: bool = False
    """Whether each head's queries and keys pass an RMSNorm (as in Qwen 3)."""
    projection_bias: bool = False
    """Whether query, key and value have a bias (as in Qwen 2)."""
    output_bias: bool = False
    """Whether the projection back into the stream has one, too."""
    feedforward_bias: bool = False
    """Whether the maps of the feed-forward part have one."""
    window: int | None = None
    """Tokens that a block can read (as in Mistral); None: all."""
    first_windowed_layer: int = 0
    """The first block that the window holds for (as in Qwen 2)."""
    tied: bool = False
    """Whether the unembedding is the transpose of the embedding."""

    def __post_init__(self) -> None:
        if self.head_width is None and self.width % self.num_heads:
            raise ValueError(
                f"num_heads {self.num_heads} does not divide width {self.width}; "
                "choose a number of heads that does, or give head_width"
            )
        if self.channels % 2:
            raise ValueError(f"head_width {self.channels} is odd; rotation needs pairs of channels")
        if self.rotary_high <= self.rotary_low:
            raise ValueError(
                f"rotary_high {self.rotary_high} is not above rotary_low {self.rotary_low}"
            )

    @property
    def channels(self) -> int:
        """Channels of a head."""
        return self.head_width or self.width // self.num_heads

    @property
    def windows(self) -> list[int | None]:
        """What each block can read."""
        first = self.first_windowed_layer
        return [self.window if layer >= first else None for layer in range(self.num_layers)]


class Llama(nn.Module):
    """Tokens to vectors, blocks, then the next token's logits; a place is a rotation."""

    def __init__(self, config: LlamaConfig, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.embedding = nn.Embedding(config.vocab_size, width)
        self.embedded = Tap()
        rotary = Rotary(
            config.context_length,
            config.channels,
            base=config.rotary_base,
            scaling=_scaling(config),
        )
        self.stack = DecoderStack(
            [self._block(config, rotary) for _ in range(config.num_layers)],
            windows=config.windows,
            norm=RMSNorm(width, epsilon=config.norm_epsilon),
        )
        self.unembedding = nn.Linear(width, config.vocab_size, bias=False)
        self.logits = Tap()
        if config.tied:
            self.unembedding.weight = self.embedding.weight
        init.gpt(self, num_layers=config.num_layers, generator=generator or torch.Generator())

    @staticmethod
    def _block(config: LlamaConfig, rotary: Rotary) -> PreNormBlock:
        width, epsilon = config.width, config.norm_epsilon
        has_norm = config.query_key_norm
        return PreNormBlock(
            Attention(
                width,
                config.num_heads,
                num_key_value_heads=config.num_key_value_heads,
                head_width=config.channels,
                bias=config.projection_bias,
                output_bias=config.output_bias,
                rotary=rotary,
                query_norm=RMSNorm(config.channels, epsilon=epsilon) if has_norm else None,
                key_norm=RMSNorm(config.channels, epsilon=epsilon) if has_norm else None,
            ),
            SwiGLU(width, config.hidden_width, bias=config.feedforward_bias),
            attention_norm=RMSNorm(width, epsilon=epsilon),
            feedforward_norm=RMSNorm(width, epsilon=epsilon),
        )

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
            key_value_heads=config.num_key_value_heads,
            head_width=config.channels,
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
        if positions is None:
            # Rotation is relative: a packed document need not start at position 0.
            positions = positions_of(vectors.shape[1], cache=cache, device=vectors.device)
        return self.stack(
            self.embedded(vectors), positions=positions, documents=documents, cache=cache
        )


def _scaling(config: LlamaConfig) -> LinearScaling | LlamaScaling | None:
    match config.rotary_scaling:
        case "linear":
            return LinearScaling(factor=config.rotary_factor)
        case "llama3":
            return LlamaScaling(
                factor=config.rotary_factor,
                low=config.rotary_low,
                high=config.rotary_high,
                original_length=config.rotary_original_length,
            )
    return None
