"""What a recipe says about hiding words; values only, so that help needs no torch."""

from dataclasses import dataclass

from cutaway.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class MaskingConfig:
    """How much of a text is hidden, and what else is asked (Devlin et al. 2018, section 3.1)."""

    share: float = 0.15
    """Share of a text's tokens that are hidden and learned from, above 0 and at most 0.5."""
    whole_words: bool = False
    """Whether all pieces of a word are hidden together, as in the models published later."""
    next_sentence: bool = True
    """Whether texts come in two parts, the second from elsewhere half of the time."""

    def __post_init__(self) -> None:
        if not 0 < self.share <= 0.5:
            raise ConfigError(f"share={self.share} is out of range; give above 0 and at most 0.5")
