"""How the next token is chosen from logits: greedy, temperature, top-k (Fan et al. 2018, section
5.4), top-p (Holtzman et al. 2020, section 3.1) and min-p (Nguyen et al. 2024, section 3)."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from cutaway.errors import ConfigError, CutawayError


@dataclass(frozen=True)
class Sampler(ABC):
    """A way to choose: one uniform number a row decides, so a row needs only its own numbers."""

    @abstractmethod
    def distribution(self, logits: Float[Tensor, "B V"]) -> Float[Tensor, "B V"]:
        """The probability with which each token is chosen."""

    @abstractmethod
    def choose(
        self, logits: Float[Tensor, "B V"], uniforms: Float[Tensor, " B"]
    ) -> Int[Tensor, " B"]:
        """The tokens at the given uniform numbers in [0, 1), one for each row."""

    def __call__(
        self, logits: Float[Tensor, "B V"], generator: torch.Generator | None = None
    ) -> Int[Tensor, " B"]:
        """The chosen tokens; the numbers come from `generator` (None: torch's default one)."""
        return self.choose(logits, draw_uniforms(len(logits), generator).to(logits.device))


@dataclass(frozen=True)
class Greedy(Sampler):
    """The most probable token, always; the first of them where several are equal."""

    def distribution(self, logits: Float[Tensor, "B V"]) -> Float[Tensor, "B V"]:
        """One for the most probable token, zero for the others."""
        best = logits.argmax(dim=-1, keepdim=True)
        return torch.zeros_like(logits, dtype=torch.float32).scatter_(-1, best, 1.0)

    def choose(
        self, logits: Float[Tensor, "B V"], uniforms: Float[Tensor, " B"]
    ) -> Int[Tensor, " B"]:
        """The most probable tokens; the uniform numbers change nothing."""
        return logits.argmax(dim=-1)


@dataclass(frozen=True)
class Temperature(Sampler):
    """The whole distribution, sharpened below a temperature of 1 and flattened above it."""

    temperature: float = 1.0
    """Divides the logits; above 0 and at most 100."""

    def __post_init__(self) -> None:
        _check_temperature(self.temperature)

    def distribution(self, logits: Float[Tensor, "B V"]) -> Float[Tensor, "B V"]:
        """The softmax of the logits over the temperature."""
        return _soften(logits, self.temperature)

    def choose(
        self, logits: Float[Tensor, "B V"], uniforms: Float[Tensor, " B"]
    ) -> Int[Tensor, " B"]:
        """Tokens by the inverse of the cumulative distribution."""
        return _invert(self.distribution(logits), uniforms)


@dataclass(frozen=True)
class TopK(Sampler):
    """The `k` most probable tokens, in their proportions."""

    k: int
    """How many tokens stay; at least 1."""
    temperature: float = field(default=1.0, kw_only=True)
    """Divides the logits; above 0 and at most 100."""

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ConfigError(f"top_k is {self.k}, but at least one token must stay: top_k >= 1")
        _check_temperature(self.temperature)

    def distribution(self, logits: Float[Tensor, "B V"]) -> Float[Tensor, "B V"]:
        """The softmax over the `k` best logits, zero elsewhere."""
        best = logits.topk(min(self.k, logits.shape[-1]), dim=-1)
        kept = _soften(best.values, self.temperature)
        return torch.zeros_like(logits, dtype=torch.float32).scatter_(-1, best.indices, kept)

    def choose(
        self, logits: Float[Tensor, "B V"], uniforms: Float[Tensor, " B"]
    ) -> Int[Tensor, " B"]:
        """Tokens by the inverse of the cumulative distribution."""
        return _invert(self.distribution(logits), uniforms)


@dataclass(frozen=True)
class TopP(Sampler):
    """The nucleus: the fewest most probable tokens whose probabilities reach `p` together."""

    p: float
    """The probability that stays; above 0 and at most 1."""
    temperature: float = field(default=1.0, kw_only=True)
    """Divides the logits before the cut; above 0 and at most 100."""

    def __post_init__(self) -> None:
        if not 0.0 < self.p <= 1.0:
            raise ConfigError(f"top_p is {self.p}, but it is a probability: 0 < top_p <= 1")
        _check_temperature(self.temperature)

    def distribution(self, logits: Float[Tensor, "B V"]) -> Float[Tensor, "B V"]:
        """The softmax cut to the nucleus and divided by what stayed."""
        ordered, order = _soften(logits, self.temperature).sort(
            dim=-1, descending=True, stable=True
        )
        stays = ordered.cumsum(dim=-1) - ordered < self.p
        stays[:, 0] = True  # also where `p` is too small for the tensor's numbers, and there 0
        kept = ordered.where(stays, 0.0)
        return torch.zeros_like(kept).scatter_(-1, order, kept / kept.sum(dim=-1, keepdim=True))

    def choose(
        self, logits: Float[Tensor, "B V"], uniforms: Float[Tensor, " B"]
    ) -> Int[Tensor, " B"]:
        """Tokens by the inverse of the cumulative distribution."""
        return _invert(self.distribution(logits), uniforms)


@dataclass(frozen=True)
class MinP(Sampler):
    """The tokens at least `p` times as probable as the most probable one."""

    p: float
    """The share of the greatest probability; at least 0 (all stay) and at most 1."""
    temperature: float = field(default=1.0, kw_only=True)
    """Divides the logits before the cut; above 0 and at most 100."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.p <= 1.0:
            raise ConfigError(f"min_p is {self.p}, but it is a share: 0 <= min_p <= 1")
        _check_temperature(self.temperature)

    def distribution(self, logits: Float[Tensor, "B V"]) -> Float[Tensor, "B V"]:
        """The softmax without its improbable tokens, divided by what stayed."""
        soft = _soften(logits, self.temperature)
        kept = soft.where(soft >= self.p * soft.amax(dim=-1, keepdim=True), 0.0)
        return kept / kept.sum(dim=-1, keepdim=True)

    def choose(
        self, logits: Float[Tensor, "B V"], uniforms: Float[Tensor, " B"]
    ) -> Int[Tensor, " B"]:
        """Tokens by the inverse of the cumulative distribution."""
        return _invert(self.distribution(logits), uniforms)


def draw_uniforms(count: int, generator: torch.Generator | None) -> Float[Tensor, " {count}"]:
    """Uniform numbers in [0, 1); drawing them one at a time gives the same numbers."""
    device = "cpu" if generator is None else generator.device
    return torch.rand(count, generator=generator, device=device)


def choose_sampler(
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
) -> Sampler:
    """The sampler that these settings name; a temperature of 0 is greedy whatever the others say.

    Raises:
        ConfigError: a setting is out of its range, or two cuts are given at once.
    """
    if not 0.0 <= temperature <= 100.0:  # false for what is not a number, too
        raise ConfigError(
            f"temperature is {temperature}, but it is a number from 0 (always the most probable "
            "token) to 100"
        )
    cuts = {"top_k": top_k, "top_p": top_p, "min_p": min_p}
    given = [name for name, value in cuts.items() if value is not None]
    if len(given) > 1:
        raise ConfigError(
            f"{' and '.join(given)} are given together, but a sampler cuts in one way:\n"
            "give one of top_k, top_p and min_p"
        )
    cut: Sampler = Greedy()
    positive = temperature if temperature != 0 else 1.0
    if top_k is not None:
        cut = TopK(top_k, temperature=positive)
    elif top_p is not None:
        cut = TopP(top_p, temperature=positive)
    elif min_p is not None:
        cut = MinP(min_p, temperature=positive)
    else:
        cut = Temperature(positive)
    return Greedy() if temperature == 0 else cut


def _check_temperature(temperature: float) -> None:
    if not 0.0 < temperature <= 100.0:  # false for what is not a number, too
        raise ConfigError(
            f"temperature is {temperature}, but it divides: 0 < temperature <= 100"
            "\n(for the most probable token, which is what 0 would mean, use Greedy)"
        )


def _soften(logits: Float[Tensor, "B V"], temperature: float) -> Float[Tensor, "B V"]:
    logits = logits.float()
    # The greatest logit becomes zero first: a small temperature could make it infinite otherwise.
    # A temperature too small for the tensor's numbers would be 0 there, and 0 / 0 is no number.
    least = torch.finfo(logits.dtype).tiny
    softened = (logits - logits.amax(dim=-1, keepdim=True)) / max(temperature, least)
    return softened.softmax(dim=-1)


def _invert(distribution: Float[Tensor, "B V"], uniforms: Float[Tensor, " B"]) -> Int[Tensor, " B"]:
    """The first token at which the cumulative probability reaches `1 - uniform`.

    `1 - uniform` is above 0, so a token without probability is never chosen, and it is measured
    against the sum as it was rounded, so there always is a token.
    """
    cumulative = distribution.cumsum(dim=-1)
    total = cumulative[:, -1:]
    if not bool(total.isfinite().all()):
        raise CutawayError(
            "the model gives logits that are not numbers (NaN), so no token can be chosen:\n"
            "its weights are damaged or its training diverged; use an earlier checkpoint"
        )
    return torch.searchsorted(cumulative, (1.0 - uniforms[:, None]) * total).squeeze(-1)
