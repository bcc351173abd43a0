"""Answers while they are written, as strict server-sent events (WHATWG HTML, section 9.2).

Each event is `id: N`, one line `data: JSON` and an empty line; the last one's data is `[DONE]`.
JSON breaks no line and no character, because pieces hold whole characters only.
"""

import asyncio
import contextlib
import itertools
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, final

from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from cutaway.server.engine_thread import Ended, EngineThread, Event, Job, Work

LOOK_SECONDS = 0.1
"""How often a waiting answer looks whether its client is still there."""
MOST_UNTOLD = 16_384
"""Tokens and rivals that may wait for a client that takes nothing; then its answer is given up."""
UNTAKEN_SECONDS = 0.5
"""How long a client takes nothing until that counts."""
LATE_SECONDS = 2.0
"""How long after the deadline of its work an answer ends without the engine, which stands still."""


@final
class Answers:
    """The answers to one request, told as they come; left early, they end and free their place."""

    def __init__(self, thread: EngineThread, works: list[Work]) -> None:
        """Raises Overloaded where the queue has no room."""
        self._thread = thread
        self._events: asyncio.Queue[tuple[int, Event]] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        self._untold = 0
        self._is_given_up = False
        self.untaken_since: float | None = None
        """Since when the client has not taken what is being sent; None: nothing is."""

        def tell(place: int, event: Event) -> None:
            loop.call_soon_threadsafe(self._hear, place, event)

        self._jobs: list[Job] = thread.submit(works, tell)
        self._deadline = max(work.deadline for work in works) + LATE_SECONDS
        self.count = len(works)
        self.open = set(range(self.count))
        """Places whose answers have not ended."""

    async def next(self, *, seconds: float) -> tuple[int, Event] | None:
        """The next event with the place of its work; None: nothing came in this time."""
        try:
            place, event = await asyncio.wait_for(self._events.get(), seconds)
        except TimeoutError:
            if time.monotonic() < self._deadline:
                return None
            place, event = min(self.open), Ended(reason="deadline")
        self._untold -= _weight(event)
        if isinstance(event, Ended):
            self.open.discard(place)
        return place, event

    def leave(self) -> None:
        """Nobody wants the rest."""
        # A job leads back here: without it an answer is freed at once, and not when a collector
        # of cycles comes by, which may be thousands of answers later.
        jobs, self._jobs = self._jobs, []
        self._thread.cancel(jobs)

    def _hear(self, place: int, event: Event) -> None:
        """Keeps what the engine tells until it can be sent."""
        if self._is_given_up:
            return
        self._untold += _weight(event)
        self._events.put_nowait((place, event))
        since = self.untaken_since
        is_slow = since is not None and time.monotonic() - since > UNTAKEN_SECONDS
        if is_slow and self._untold > MOST_UNTOLD:
            self._give_up()

    def _give_up(self) -> None:
        """Forgets what the client has not taken: it would fill the memory."""
        self._is_given_up = True
        self.leave()
        while not self._events.empty():
            self._events.get_nowait()
        for place in sorted(self.open):
            self._events.put_nowait((place, Ended(reason="deadline")))


def _weight(event: Event) -> int:
    """How much is kept for an event."""
    return 1 if isinstance(event, Ended) else 1 + len(event.rivals)


@final
class AnswerStream(StreamingResponse):
    """A stream that gives its answers up at its end, also where nobody ever read of it."""

    def __init__(self, content: AsyncIterator[bytes], *, answers: Answers, **rest: Any) -> None:
        super().__init__(content, **rest)
        self._answers = answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends what comes."""

        async def timed(message: Message) -> None:
            self._answers.untaken_since = time.monotonic()
            await send(message)
            self._answers.untaken_since = None

        try:
            await super().__call__(scope, receive, timed)
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
    silent = 0.0
    try:
        while answers.open:
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
