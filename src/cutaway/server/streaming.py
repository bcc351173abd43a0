"""Answers while they are written, as strict server-sent events (WHATWG HTML, section 9.2).

Each event is `id: N`, one line `data: JSON` and an empty line; the last one's data is `[DONE]`.
JSON breaks no line and no character, because pieces hold whole characters only.
"""

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, final

from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from cutaway.server.engine_thread import Ended, EngineThread, Event, Job, Work

LOOK_SECONDS = 0.1
"""How often a waiting answer looks whether its client is still there."""


@final
class Answers:
    """The answers to one request, told as they come; left early, they end and free their place."""

    def __init__(self, thread: EngineThread, works: list[Work]) -> None:
        """Raises Overloaded where the queue has no room."""
        self._thread = thread
        self._events: asyncio.Queue[tuple[int, Event]] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def tell(place: int, event: Event) -> None:
            loop.call_soon_threadsafe(self._events.put_nowait, (place, event))

        self._jobs: list[Job] = thread.submit(works, tell)
        self.count = len(works)

    async def next(self, *, seconds: float) -> tuple[int, Event] | None:
        """The next event with the place of its work; None: nothing came in this time."""
        try:
            return await asyncio.wait_for(self._events.get(), seconds)
        except TimeoutError:
            return None

    def leave(self) -> None:
        """Nobody wants the rest."""
        self._thread.cancel(self._jobs)


@final
class AnswerStream(StreamingResponse):
    """A stream that gives its answers up at its end, also where nobody ever read of it."""

    def __init__(self, content: AsyncIterator[bytes], *, answers: Answers, **rest: Any) -> None:
        super().__init__(content, **rest)
        self._answers = answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends what comes."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._answers.leave()


class Gone(Exception):
    """The client has left."""


async def watched(
    answers: Answers, request: Request, *, ping_seconds: float
) -> AsyncGenerator[tuple[int, Event] | None, None]:
    """The events of answers; None whenever the client should be told that we are alive.

    Raises:
        Gone: the client has left, and the work was given up.
    """
    left, silent = answers.count, 0.0
    try:
        while left:
            event = await answers.next(seconds=LOOK_SECONDS)
            if await request.is_disconnected():
                raise Gone
            if event is None:
                silent += LOOK_SECONDS
                if silent >= ping_seconds:
                    silent = 0.0
                    yield None
                continue
            silent = 0.0
            left -= isinstance(event[1], Ended)
            yield event
    finally:
        answers.leave()


async def events(chunks: AsyncIterator[dict[str, Any] | None]) -> AsyncIterator[bytes]:
    """Server-sent events of JSON chunks, `[DONE]` last; None is a comment that says nothing."""
    numbers = itertools.count()
    with contextlib.suppress(Gone):
        async for chunk in chunks:
            if chunk is None:
                yield b": alive\n\n"
            else:
                data = json.dumps(chunk, ensure_ascii=False, allow_nan=False)
                yield f"id: {next(numbers)}\ndata: {data}\n\n".encode()
        yield f"id: {next(numbers)}\ndata: [DONE]\n\n".encode()
