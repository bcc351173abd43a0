"""What a recipe may choose about alignment; values only, so that help needs no torch."""

from dataclasses import dataclass
from typing import Literal

from cutaway.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class RewardConfig:
    """The numbers of a reward model's training."""

    objective: Literal["plackett-luce", "bradley-terry"] = "plackett-luce"
    """Which likelihood of the rankings; for two answers both are the same."""
    rankings: int = 32
    """Rankings of a step."""
    center: float = 0.01
    """Weight of the squared mean of a ranking's scores, which nothing else holds near 0."""

    def __post_init__(self) -> None:
        if self.rankings < 1:
            raise ConfigError(f"rankings={self.rankings} is out of range; give 1 or more")
        if self.center < 0:
            raise ConfigError(f"center={self.center} is negative; give 0 or more")


@dataclass(frozen=True, kw_only=True)
class PPOConfig:
    """The numbers of PPO."""

    answers: int = 64
    """Answers drawn in a step, each to a prompt of its own."""
    passes: int = 2
    """Times that the answers of a step are learned from."""
    minibatch: int = 32
    """Answers of one optimizer step."""
    clip: float = 0.2
    """How far the ratio of new to old probability may move, either way, before it stops paying."""
    value_clip: float = 0.2
    """How far a value may move from the old one before the larger of both errors counts."""
    value_weight: float = 0.1
    """Weight of the value loss beside the policy loss."""
    discount: float = 1.0
    """What a reward one token later is worth, 0 to 1."""
    trace: float = 0.95
    """The lambda of the advantage estimate, 0 to 1: 0 trusts the values, 1 the rewards."""
    kl_weight: float = 0.05
    """What a nat of leaving the reference costs at first, in spreads of the reward."""
    kl_target: float | None = 6.0
    """Nats an answer that the charge is adapted to; none: the charge stays."""
    kl_horizon: float = 1000.0
    """Answers after which the charge has followed a steady error by its whole size."""
    most_kl: float = 0.05
    """Nats a token that one step may move the policy; its remaining passes are left out then."""
    unfinished: float = 1.0
    """Taken from the reward, in spreads of it, where an answer does not come to its end."""

    def __post_init__(self) -> None:
        for name in ("answers", "passes", "minibatch"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}={getattr(self, name)} is out of range; give 1 or more")
        for name in ("discount", "trace"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name}={getattr(self, name)} is out of range; give 0 to 1")
        for name in ("clip", "value_clip", "kl_horizon", "most_kl"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name}={getattr(self, name)} is out of range; give more than 0")


@dataclass(frozen=True, kw_only=True)
class DPOConfig:
    """The numbers of DPO."""

    objective: Literal["sigmoid", "conservative", "robust", "ipo", "hinge", "anchored"] = "sigmoid"
    """Which loss of the pairs."""
    beta: float = 0.1
    """How much it costs to leave the reference: the greater, the nearer the policy stays."""
    flipped: float = 0.2
    """Share of wrong judgements, 0 up to, but not, 0.5 (conservative, robust)."""
    likelihood: float = 0.0
    """Weight of the chosen answers' own likelihood beside the loss, which keeps them from becoming
    less likely together with the rejected ones (Pang et al. 2024, equation 2)."""
    pairs: int = 32
    """Pairs of a step."""
    drawn: int = 1000
    """Questions whose answers are drawn and ranked by a reward, where no judgements are given."""
    answers: int = 4
    """Answers drawn to each of them; the best and the worst make a pair."""

    def __post_init__(self) -> None:
        if self.beta <= 0:
            raise ConfigError(f"beta={self.beta} is out of range; give more than 0")
        if self.likelihood < 0:
            raise ConfigError(f"likelihood={self.likelihood} is negative; give 0 or more")
        if not 0 <= self.flipped < 0.5:
            raise ConfigError(f"flipped={self.flipped} is out of range; give 0 up to, but not, 0.5")
        for name, least in (("pairs", 1), ("drawn", 1), ("answers", 2)):
            if getattr(self, name) < least:
                raise ConfigError(
                    f"{name}={getattr(self, name)} is out of range; give {least} or more"
                )


@dataclass(frozen=True, kw_only=True)
class GRPOConfig:
    """The numbers of GRPO."""

    prompts: int = 16
    """Prompts of a step."""
    answers: int = 8
    """Answers to each of them: the group."""
    passes: int = 1
    """Times that the answers of a step are learned from."""
    minibatch: int = 64
    """Answers of one optimizer step."""
    clip: float = 0.2
    """How far the ratio of new to old probability may move, either way, before it stops paying."""
    kl_weight: float = 0.02
    """What a nat of leaving the reference costs, beside advantages of about 1."""
    advantages: Literal["normalized", "centered"] = "normalized"
    """normalized: less the group's mean, in spreads of the group; centered: less the mean alone, so
    that easy and hard prompts weigh by how much their answers differ (Liu et al. 2025, 3.2)."""
    unfinished: float = 0.0
    """Taken from the reward where an answer does not come to its end."""

    def __post_init__(self) -> None:
        for name in ("prompts", "passes", "minibatch"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}={getattr(self, name)} is out of range; give 1 or more")
        if self.answers < 2:
            raise ConfigError(
                f"answers={self.answers}: a group of one has nothing to be compared with; give 2 "
                "or more"
            )
        if self.clip <= 0 or self.kl_weight < 0:
            raise ConfigError("clip must be more than 0, and kl_weight 0 or more")


@dataclass(frozen=True, kw_only=True)
class BestOfConfig:
    """The numbers of best-of-n."""

    prompts: int = 16
    """Prompts of a step."""
    answers: int = 8
    """n: answers to each of them, the best of which is learned from."""

    def __post_init__(self) -> None:
        if self.prompts < 1 or self.answers < 2:
            raise ConfigError(
                f"prompts={self.prompts}, answers={self.answers}: give 1 prompt or more, and 2 "
                "answers or more to choose among"
            )


@dataclass(frozen=True, kw_only=True)
class RememberingConfig:
    """What a model was taught before is learned on, so that it is not forgotten."""

    rows: int = 16
    """Old questions with their right answers in each optimizer step; 0: none."""
    weight: float = 1.0
    """Weight of their likelihood beside the method's own loss."""
    answers: int = 4000
    """Old questions in all."""

    def __post_init__(self) -> None:
        if self.rows < 0 or self.weight < 0 or self.answers < 1:
            raise ConfigError(
                f"rows={self.rows}, weight={self.weight}, answers={self.answers}: give 0 or more "
                "rows and weight, and 1 answer or more"
            )
