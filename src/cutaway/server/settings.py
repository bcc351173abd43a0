"""What a server allows: who may ask, how much, and for how long."""

from dataclasses import dataclass

LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
"""The names by which a machine calls itself."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Limits and doors of a server; the defaults suit one machine and its user."""

    hosts: frozenset[str] = LOOPBACK
    """Names (without port) that a request may call the server by; others are refused, so that no
    page of another site can reach it by a name of its own."""
    key: str | None = None
    """What a request must show to get more than the pages and `/health`; None: nothing."""
    most_body_bytes: int = 2**21
    """Bytes of a request."""
    most_header_bytes: int = 2**14
    """Bytes of the headers of a request."""
    body_seconds: float = 20.0
    """Time for a request to arrive."""
    read_seconds: float = 10.0
    """Time for a prompt to become tokens, and for a schema to be compiled."""
    answer_seconds: float = 600.0
    """Time for an answer, waiting included."""
    stalled_seconds: float = 5.0
    """A step of the engine that takes longer makes the server unready."""
    most_running: int = 8
    """Answers that are written at once."""
    most_waiting: int = 64
    """Answers that wait; who comes then is told to come again."""
    ping_seconds: float = 15.0
    """A stream that is silent as long says that it is alive."""
