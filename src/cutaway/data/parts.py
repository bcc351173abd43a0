"""What a recipe says about one source of a mixture."""

from dataclasses import dataclass
from typing import Literal

from cutaway.errors import ConfigError

SKILL_PREFIX = "skill:"


@dataclass(frozen=True, kw_only=True)
class Part:
    """One source of a mixture."""

    source: str
    """A corpus, a file or folder of your own, or skill:NAME."""
    share: float = 1.0
    """Weight among the parts, by rows of a batch; the weights are divided by their sum."""
    form: Literal["text", "chat"] = "text"
    """text: continuous text, all of it learned from; chat: conversations, only answers are."""
    count: int = 10_000
    """Examples made, where the source is a skill."""

    def __post_init__(self) -> None:
        if self.share < 0:
            raise ConfigError(f"share {self.share} of {self.source} is negative; give 0 or more")
        if self.count < 1:
            raise ConfigError(f"count {self.count} of {self.source} makes nothing; give 1 or more")
