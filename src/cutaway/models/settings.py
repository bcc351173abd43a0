"""What a recipe says about a model: one dial, or the sizes themselves."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any, Literal

from cutaway.errors import ConfigError

LARGEST_SIZE = 32

RANGES: Mapping[str, tuple[int, int]] = MappingProxyType(
    {
        "context_length": (2, 2**18),
        "width": (1, 2**18),
        "num_layers": (1, 1024),
        "num_encoder_layers": (1, 1024),
        "num_heads": (1, 4096),
        "num_key_value_heads": (1, 4096),
        "hidden_width": (1, 2**20),
        "pair_rows": (0, 2**31),
        "triple_rows": (0, 2**31),
        "table_width": (1, 2**18),
        "window": (1, 2**18),
        "alignment_width": (1, 2**20),
        "dropout": (0, 1),
    }
)
"""The smallest and the largest value of each size."""


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """Sizes of a model; what is not given follows from `size`."""

    architecture: Literal["speedrun", "llama", "gpt", "transformer", "seq2seq", "bert"] = "speedrun"
    """Which model of the catalog."""
    context_length: int = 256
    """Tokens that the model can read at once."""
    width: int | None = None
    """Numbers in a vector; none: 64 times the size."""
    num_layers: int | None = None
    """Blocks; none: twice the size."""
    num_encoder_layers: int | None = None
    """Blocks of the encoder (transformer); none: as many as the decoder has."""
    num_heads: int | None = None
    """Attention heads; none: one for each 64 numbers of the width."""
    num_key_value_heads: int | None = None
    """Key/value heads (llama); none: as many as query heads."""
    hidden_width: int | None = None
    """Width of the feed-forward part (llama, gpt, transformer, bert), of a hidden state (seq2seq);
    none: llama 8/3 of the width, as a multiple of 32; seq2seq the width; the others four times
    it."""
    pair_rows: int | None = None
    """Rows of the table for pairs of tokens (speedrun)."""
    triple_rows: int | None = None
    """Rows of the table for triples of tokens (speedrun)."""
    spelled_bytes: int | None = None
    """First bytes of a token that the model is told (speedrun)."""
    table_width: int | None = None
    """Numbers in a row of those tables (speedrun)."""
    norm_placement: Literal["pre", "post"] | None = None
    """Norms before or after each part (gpt, transformer)."""
    window: int | None = None
    """Tokens that a block can read (llama; every second block of gpt)."""
    tied: bool | None = None
    """Whether embedding and unembedding are one matrix (llama, gpt, transformer, seq2seq)."""
    query_key_norm: bool | None = None
    """Whether queries and keys are normalised (llama)."""
    dropout: float | None = None
    """Share of activations zeroed in training, 0 to 1 (all but llama)."""
    cell: Literal["rnn", "gru", "lstm"] | None = None
    """What makes a step (seq2seq)."""
    direction: Literal["forward", "both"] | None = None
    """Ways in which the encoder reads (seq2seq)."""
    source_order: Literal["forward", "reversed"] | None = None
    """Order in which the encoder reads (seq2seq)."""
    attention: Literal["off", "additive", "dot", "general", "concat"] | None = None
    """How places of the source are scored (seq2seq)."""
    feeding: Literal["off", "context", "attended"] | None = None
    """What a step of the decoder reads beside the token before (seq2seq)."""
    alignment_width: int | None = None
    """Hidden width of additive and concat scores (seq2seq)."""

    def __post_init__(self) -> None:
        for name, (smallest, largest) in RANGES.items():
            value = getattr(self, name)
            if value is not None and not smallest <= value <= largest:
                raise ConfigError(
                    f"model.{name}={value} is out of range; allowed is {smallest} to {largest:,}"
                )

    def resolved(self, *, size: int, vocab_size: int) -> dict[str, Any]:
        """Returns the settings from which the catalog builds the model.

        Raises ConfigError for a size out of range and a setting that the architecture lacks.
        """
        from cutaway.models.catalog import CATALOG  # imports torch

        if not 1 <= size <= LARGEST_SIZE:
            raise ConfigError(f"size={size} is out of range; allowed are 1 to {LARGEST_SIZE}")
        width = 64 * size if self.width is None else self.width
        heads = max(1, width // 64) if self.num_heads is None else self.num_heads
        derived: dict[str, Any] = {
            "vocab_size": vocab_size,
            "context_length": self.context_length,
            "width": width,
            "num_layers": 2 * size if self.num_layers is None else self.num_layers,
        }
        if self.architecture == "seq2seq":
            # Recurrent layers are seldom stacked higher.
            derived["num_layers"] = min(size, 2) if self.num_layers is None else self.num_layers
        else:
            derived["num_heads"] = heads
        if self.architecture == "llama":
            derived["num_key_value_heads"] = self.num_key_value_heads or heads
            derived["hidden_width"] = self.hidden_width or 32 * round(width * 8 / 3 / 32)
        if self.architecture == "bert":
            derived["hidden_width"] = self.hidden_width or 4 * width
        known = {field.name for field in fields(CATALOG[self.architecture].config)}
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in derived or field.name == "architecture" or value is None:
                continue
            if field.name not in known:
                raise ConfigError(
                    f"model.{field.name} does not go with model.architecture={self.architecture}; "
                    f"that has: {', '.join(sorted(known))}"
                )
            derived[field.name] = value
        return {"architecture": self.architecture, **derived}
