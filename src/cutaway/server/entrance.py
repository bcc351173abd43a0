"""The entrance of the server, behind its door: a request comes in whole, and where there is room.

Who comes while every place is taken hears so before the body is read. Plain ASGI, before routing.
"""

import asyncio
from collections.abc import Callable
from typing import final

from cutaway.server.bodies import (
    App,
    Receive,
    Refusal,
    Scope,
    Send,
    has_body,
    length,
    read_body,
    replayed,
    too_large,
    values,
)
from cutaway.server.protocol import Refused
from cutaway.server.rooms import PLACE, Rooms
from cutaway.server.settings import Settings

RETRY_SECONDS = 1
"""When to come again while the queue is full: about the time in which an answer ends."""
SMALL_BODY_BYTES = 2**16
"""A body up to this size may come after its refusal, and the connection goes on after it."""


@final
class Entrance:
    """Lets in what is small enough, arrives in time and finds room; what it lets in is whole."""

    def __init__(
        self, app: App, *, settings: Settings, rooms: Rooms, note_refusal: Callable[[], None]
    ) -> None:
        self._app, self._settings, self._rooms = app, settings, rooms
        self._note_refusal = note_refusal
        self._turn = asyncio.Lock()
        self._full = Refusal(no_room("every place is taken; come again in a while"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        needs_room = self._rooms.lead_from(scope)
        said = length(scope["headers"])
        if said is not None and said > self._settings.most_body_bytes:
            await Refusal(too_large(self._settings)).say(send, rest=receive)
            return
        if needs_room and self._rooms.are_full(scope["path"]):
            await self._say_full(send, rest=None if _is_small(scope) else receive)
            return
        try:
            body = await read_body(receive, limits=self._settings) if has_body(scope) else b""
        except Refused as refused:
            rest = receive if refused.status == 413 else None
            await Refusal(refused).say(send, rest=rest)
            return
        if needs_room:
            await self._begin(scope, replayed(body, receive), send)
        else:
            await self._app(scope, replayed(body, receive), send)

    async def _begin(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets in a request that is whole, if there is room still."""
        if self._rooms.are_full(scope["path"]):
            await self._say_full(send, rest=None)
            return
        scope[PLACE] = place = self._rooms.speak_for(scope["path"])
        try:
            # One begins in each turn of the event loop, so that a burst of those that are let in
            # holds up nobody who only needs to hear that there is no room.
            async with self._turn:
                await asyncio.sleep(0)
            await self._app(scope, receive, send)
        finally:
            place.leave()

    async def _say_full(self, send: Send, *, rest: Receive | None) -> None:
        self._note_refusal()
        await self._full.say(send, rest=rest)


def no_room(message: str) -> Refused:
    """What a request is told for which there is no room."""
    headers = {"retry-after": str(RETRY_SECONDS)}
    return Refused(message, status=429, code="overloaded", headers=headers)


def _is_small(scope: Scope) -> bool:
    """Whether little of a body can still come, and without being asked for."""
    said = length(scope["headers"])
    is_asked_for = bool(values(scope["headers"], b"expect"))
    return said is not None and said <= SMALL_BODY_BYTES and not is_asked_for
