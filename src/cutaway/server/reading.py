"""What takes time before an answer can begin, done beside the event loop: a few at once, a bounded
queue, and a limit of time for each."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar, final

from cutaway.server.engine_thread import Overloaded
from cutaway.server.protocol import Refused

AT_ONCE = 2
"""Prompts and schemas that are read at the same time."""

_Given = ParamSpec("_Given")
_Read = TypeVar("_Read")


@final
class Readers:
    """Turns texts into tokens and schemas into forms, in threads of its own."""

    def __init__(self, *, seconds: float, most: int) -> None:
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="reader")
        self._seconds, self._most, self._count = seconds, most, 0

    async def read(
        self, work: Callable[_Given, _Read], /, *given: _Given.args, **named: _Given.kwargs
    ) -> _Read:
        """The result of the work.

        Raises:
            Overloaded: as many wait as may.
            Refused: it takes too long, its wait included. A thread cannot be ended, so the work
                keeps its place among those that count until it ends by itself.
        """
        if self._count >= self._most:
            raise Overloaded("too many prompts are being read; come again in a while")
        self._count += 1
        future = self._threads.submit(work, *given, **named)
        waiting = asyncio.wrap_future(future)
        waiting.add_done_callback(self._note_end)
        try:
            return await asyncio.wait_for(asyncio.shield(waiting), self._seconds)
        except TimeoutError:
            future.cancel()
            raise Refused(
                f"reading the request took longer than {self._seconds:g} s; send a shorter one",
                status=408,
                code="too_slow",
            ) from None

    def close(self) -> None:
        """Begins nothing more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _note_end(self, done: "asyncio.Future[_Read]") -> None:
        self._count -= 1
        if not done.cancelled():
            done.exception()  # asked for, as whoever gave up waiting never does
