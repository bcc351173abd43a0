"""What the tests of serving ask with, and how they read the answers."""

from collections.abc import Sequence
from typing import Any

import torch

from cutaway.inference.engine import Engine
from cutaway.inference.generate import generate
from cutaway.inference.request import Event, Finished, Request, Token
from cutaway.inference.sampling import Greedy

LONG = 256
"""The context of the toys that are served."""


def request(prompt: Sequence[int], **rest: Any) -> Request:
    """A request with a short answer that no token stops."""
    settings: dict[str, Any] = {"sampler": Greedy(), "max_tokens": 12, "stop_ids": frozenset()}
    return Request(prompt=tuple(prompt), **settings | rest)


def prompt_of(length: int, *, seed: int) -> list[int]:
    """Random letters."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(34, (length,), generator=generator).tolist()


def drain(engine: Engine) -> list[Event]:
    """Steps until nothing is left."""
    events = []
    while not engine.is_idle:
        events += engine.step()
    return events


def tokens(events: Sequence[Event], id_: int) -> list[int]:
    """What was written for a request."""
    return [event.token for event in events if isinstance(event, Token) and event.id == id_]


def end(events: Sequence[Event], id_: int) -> Finished:
    """The one end of a request, after which nothing more is told of it."""
    [*others, last] = [event for event in events if event.id == id_]
    assert isinstance(last, Finished)
    assert not any(isinstance(event, Finished) for event in others)
    return last


def alone(model: Any, asked: Request) -> list[int]:
    """What the plain loop writes."""
    return generate(
        model,
        asked.prompt,
        sampler=asked.sampler,
        max_tokens=asked.max_tokens,
        stop_ids=asked.stop_ids or (),
        generator=torch.Generator().manual_seed(asked.seed),
    ).ids


def drain_of(engine: Engine, asked: Request) -> list[Event]:
    """All that is told of a request that is alone."""
    engine.submit(asked)
    return drain(engine)
