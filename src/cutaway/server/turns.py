"""One request after the other, where a model answers each in one piece; so many may wait."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import final

from cutaway.server.engine_thread import Overloaded
from cutaway.server.rooms import Room


@final
class Turns(Room):
    """Lets one request after the other in; so many may wait."""

    def __init__(self, *, most_waiting: int) -> None:
        self._most_waiting, self._inside = most_waiting, 0
        self._lock = asyncio.Lock()

    @property
    def left(self) -> int:
        """Requests that may still come in, the one whose turn it is included."""
        return self._most_waiting + 1 - self._inside

    @asynccontextmanager
    async def take(self) -> AsyncIterator[None]:
        """Waits for its turn.

        Raises:
            Overloaded: as many wait as may.
        """
        if self.left <= 0:
            raise Overloaded(
                f"{self._most_waiting} requests wait for this, which is all that may;\n"
                "come again in a while"
            )
        self._inside += 1
        try:
            async with self._lock:
                yield
        finally:
            self._inside -= 1
