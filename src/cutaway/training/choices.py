"""What a recipe may choose about learning; values only, so that help needs no torch."""

from dataclasses import dataclass
from typing import Literal

from cutaway.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """Which optimizer learns what, and how fast."""

    kind: Literal["muon", "adamw"] = "muon"
    """muon: the blocks' matrices by Muon, the rest by AdamW; adamw: everything by AdamW."""
    learning_rate: float = 0.02
    """Of the blocks' matrices: for Muon about 0.02, for AdamW about 0.001."""
    embedding_rate: float = 0.1
    """Of the embeddings, by AdamW."""
    unembedding_rate: float = 0.005
    """Of the unembedding, where it is not tied, by AdamW."""
    vector_rate: float = 0.01
    """Of gains, biases and scalars, by AdamW."""
    adapter_rate: float = 0.01
    """Of LoRA adapters, by AdamW."""
    weight_decay: float = 0.0
    """Share of a matrix removed each step, times the learning rate."""
    beta1: float = 0.8
    """AdamW's decay of the mean of gradients, 0 to 1."""
    beta2: float = 0.95
    """AdamW's decay of the mean of squared gradients, 0 to 1; also Muon's momentum."""

    def __post_init__(self) -> None:
        rates = ("learning_rate", "embedding_rate", "unembedding_rate", "vector_rate")
        for name in (*rates, "adapter_rate", "weight_decay"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name}={getattr(self, name)} is negative; give 0 or more")
        for name in ("beta1", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{name}={getattr(self, name)} is out of range; give 0 to 0.999")


@dataclass(frozen=True, kw_only=True)
class ScheduleConfig:
    """How the learning rate rises and falls."""

    kind: Literal["trapezoid", "cosine", "inverse_root"] = "trapezoid"
    """trapezoid: level, then a straight fall; cosine: half a cosine; inverse_root: as the root of
    the step falls, after `warmup_steps` (Vaswani et al. 2017, section 5.3)."""
    warmup: float = 0.02
    """Share of the steps in which the rate rises, 0 to 1."""
    cooldown: float = 0.5
    """Share of the steps, at the end, in which a trapezoid falls, 0 to 1."""
    floor: float = 0.0
    """Factor at the end, 0 to 1."""
    warmup_steps: int = 4000
    """Steps in which the rate rises (inverse_root)."""

    def __post_init__(self) -> None:
        for name in ("warmup", "cooldown", "floor"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(
                    f"{name}={getattr(self, name)} is a share of the steps, or of the rate; "
                    "give 0 to 1"
                )
        if self.warmup_steps < 1:
            raise ConfigError(f"warmup_steps={self.warmup_steps} is out of range; give 1 or more")


@dataclass(frozen=True, kw_only=True)
class PairConfig:
    """What an encoder-decoder reads and writes, and how it is asked for it."""

    source: str | None = None
    """Language or version that is read; none: a corpus's first, or that of the user's file."""
    target: str | None = None
    """Language or version that is written; none: a corpus's second, or the file's partner."""
    most: int | None = None
    """The most pairs to learn from, drawn by their hashes; none: all."""
    tokenizer_reads: Literal["both", "target"] = "both"
    """Which sides a tokenizer of byte pairs finds its pieces in."""
    label_smoothing: float = 0.1
    """Share of the probability that is asked to be spread over the vocabulary, 0 up to 1."""
    measured: int = 100
    """Held-out pairs that are translated along the way."""

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 1:
            raise ConfigError(
                f"label_smoothing={self.label_smoothing} is a share; give 0 up to, but not, 1"
            )
        for name in ("most", "measured"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name}={value} is out of range; give 1 or more")
