"""One request after the other, where a model answers each in one piece; so many may wait."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import final

from cutaway.server.engine_thread import Overloaded


@final
class Turns:
    """Lets one request after the other in; so many may wait."""

    def __init__(self, *, most_waiting: int) -> None:
        self._most_waiting, self._inside = most_waiting, 0
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def take(self) -> AsyncIterator[None]:
        """Waits for its turn.

        Raises:
            Overloaded: as many wait as may.
        """
        if self._inside > self._most_waiting:
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
