"""What makes tokens more or less likely than the model says: repetition (Keskar et al. 2019,
section 4.1), presence and frequency, and a bias for each token."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from cutaway.errors import ConfigError

MOST_BIASED = 1024
"""Tokens that may have a bias of their own."""


@dataclass(frozen=True, kw_only=True)
class Penalties:
    """What is done to the logits before a sampler sees them; unless set, nothing."""

    repetition: float = 1.0
    """Divides positive logits, and multiplies negative ones, of every token that stands in the
    prompt or in the answer; above 0 and at most 10, 1 does nothing."""
    presence: float = 0.0
    """Subtracted from the logit of every token that stands in the answer; -2 to 2."""
    frequency: float = 0.0
    """Subtracted as often as a token stands in the answer; -2 to 2."""
    bias: Mapping[int, float] = field(default_factory=dict)
    """Added to the logits of these tokens; -100 (never) to 100 (nearly always)."""

    def __post_init__(self) -> None:
        # Written so that what is not a number is refused, too.
        if not 0.0 < self.repetition <= 10.0:
            raise ConfigError(
                f"repetition_penalty is {self.repetition}, but it is a factor: above 0, at most 10"
            )
        for name in ("presence", "frequency"):
            if not -2.0 <= getattr(self, name) <= 2.0:
                raise ConfigError(
                    f"{name}_penalty is {getattr(self, name)}, but it is a number from -2 to 2"
                )
        if len(self.bias) > MOST_BIASED:
            raise ConfigError(
                f"logit_bias names {len(self.bias)} tokens, but at most {MOST_BIASED} may have one"
            )
        for token, bias in self.bias.items():
            if not (math.isfinite(bias) and -100.0 <= bias <= 100.0):
                raise ConfigError(
                    f"logit_bias of token {token} is {bias}, but it is a number from -100 to 100"
                )

    @property
    def is_nothing(self) -> bool:
        """Whether no logit changes."""
        return self == Penalties()


@final
class Penalized:
    """One row's penalties with what the row has read and written."""

    def __init__(self, penalties: Penalties, *, prompt: Sequence[int], vocabulary: int) -> None:
        self._penalties = penalties
        self._counts = torch.zeros(vocabulary)
        self._seen = torch.zeros(vocabulary, dtype=torch.bool)
        # A prompt may hold ids that only pad the model's vocabulary; nobody can write them.
        self._seen[[token for token in prompt if token < vocabulary]] = True
        self._bias = torch.zeros(vocabulary)
        for token, bias in penalties.bias.items():
            self._bias[token] = bias

    def count(self, token: int) -> None:
        """Takes note of a token that the row has written."""
        self._counts[token] += 1.0
        self._seen[token] = True

    def apply(self, logits: Float[Tensor, " V"]) -> Float[Tensor, " V"]:
        """The logits after repetition, presence and frequency, and then the bias."""
        seen, counts = self._seen.to(logits.device), self._counts.to(logits.device)
        factor = self._penalties.repetition
        repeated = torch.where(logits > 0, logits / factor, logits * factor)
        logits = torch.where(seen, repeated, logits)
        logits = logits - self._penalties.presence * (counts > 0)
        return logits - self._penalties.frequency * counts + self._bias.to(logits.device)
