"""What is asked of the engine, and what it tells while it works."""

from dataclasses import dataclass, field
from typing import Literal

from cutaway.errors import ResourceError, UsageError
from cutaway.inference.constraint import Constraint
from cutaway.inference.penalties import Penalties
from cutaway.inference.sampling import Sampler

MOST_STOPS = 16
"""Stop strings of one request."""
LONGEST_STOP = 512
"""Characters of a stop string."""
MOST_ALTERNATIVES = 20
"""Rivals that are told for each token."""

Reason = Literal["stop", "length", "cancelled", "deadline", "error"]


@dataclass(frozen=True, kw_only=True)
class Request:
    """A prompt and how it is to be continued."""

    prompt: tuple[int, ...]
    """The ids to go on from; at least one, fewer than the context holds."""
    sampler: Sampler
    """How a token is chosen from the logits."""
    max_tokens: int
    """The most tokens written, at least 1; the context may end the answer sooner."""
    seed: int = 0
    """The same seed writes the same text; -2**63 to 2**64 - 1."""
    stop_ids: frozenset[int] | None = None
    """Tokens that end the answer; None: the end of a message and the end of a text."""
    stop: tuple[str, ...] = ()
    """Texts that end the answer; they are not part of it."""
    top_logprobs: int | None = None
    """How many of the most probable tokens are told beside each chosen one, 0 to 20; None: none,
    and not how probable the chosen one was after the sampler's cuts either."""
    penalties: Penalties = field(default_factory=Penalties)
    """What is done to the logits before the sampler."""
    constraint: Constraint | None = None
    """The form that the answer must have; None: any."""
    deadline: float | None = None
    """When the answer ends whatever its state, in seconds of `time.monotonic`; None: never."""

    def __post_init__(self) -> None:
        if not -(2**63) <= self.seed < 2**64:
            raise UsageError(
                f"seed is {self.seed}, but it is a whole number from -2**63 to 2**64-1"
            )
        if not 0 <= (self.top_logprobs or 0) <= MOST_ALTERNATIVES:
            raise UsageError(
                f"top_logprobs is {self.top_logprobs}, but 0 to {MOST_ALTERNATIVES} can be told"
            )
        if len(self.stop) > MOST_STOPS:
            raise UsageError(
                f"stop has {len(self.stop)} texts, but at most {MOST_STOPS} are allowed"
            )
        for text in self.stop:
            if not 0 < len(text) <= LONGEST_STOP:
                raise UsageError(
                    f"a text of stop has {len(text)} characters, but it has 1 to {LONGEST_STOP}"
                )


@dataclass(frozen=True, kw_only=True)
class Alternative:
    """A token that could have been chosen."""

    token: int
    """Its id."""
    logprob: float
    """Logarithm (nats) of the model's own probability."""
    sampled_logprob: float | None
    """The same after penalties, constraint, temperature and cuts; None: cut away."""


@dataclass(frozen=True, kw_only=True)
class Token:
    """A token was chosen."""

    id: int
    """The request."""
    token: int
    """The token's id; the one that ends an answer is told, too."""
    text: str
    """What may be shown now: whole characters, and nothing that may belong to a stop string."""
    logprob: float
    """Logarithm (nats) of the model's own probability, before penalties and sampler."""
    sampled_logprob: float | None = None
    """The same after penalties, constraint, temperature and cuts; None: not asked for."""
    alternatives: tuple[Alternative, ...] = ()
    """The most probable tokens by the model's own probability, the best first."""


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What a request cost."""

    prompt_tokens: int
    """Tokens of the prompt."""
    cached_tokens: int
    """Those of them that were not read, because an earlier prompt began with them."""
    completion_tokens: int
    """Tokens written, the one that ended the answer included."""


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A request has ended; nothing more comes of it."""

    id: int
    """The request."""
    reason: Reason
    """A stop token or text, `max_tokens` or the context, its owner, its deadline, or a failure."""
    usage: Usage
    """What it cost."""
    cause: Exception | None = None
    """The failure; for the log, not for strangers."""


Event = Token | Finished


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """How busy an engine is, and what it has done."""

    running: int
    """Requests that are being read or written."""
    waiting: int
    """Requests in the queue."""
    max_rows: int
    """Requests that may run at once."""
    max_waiting: int
    """Requests that may wait."""
    blocks: int
    """Blocks for beginnings that requests share."""
    free_blocks: int
    """Blocks that hold nothing."""
    held_blocks: int
    """Blocks that running requests began with; the others may be given away."""
    prompt_tokens: int
    """Tokens of all prompts that were admitted."""
    cached_tokens: int
    """Those of them that were found in blocks."""
    completion_tokens: int
    """Tokens written."""
    guessed_tokens: int
    """Tokens that were guessed and checked."""
    accepted_tokens: int
    """Those of them that were right, each of which saved a pass."""


class Overloaded(ResourceError):
    """The queue is full; the request may come again."""

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
