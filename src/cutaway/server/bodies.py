"""Bodies of requests: whether there is one, its arrival, and what becomes of an unread one."""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, final

from cutaway.server.protocol import Refused
from cutaway.server.settings import Settings

WRITES = frozenset({"POST", "PUT", "PATCH"})
LINGER_S = 1.0
"""Seconds in which the rest of a refused body is thrown away: who still sends hears no answer."""

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]


def has_body(scope: Scope) -> bool:
    """Whether something follows the headers."""
    names = {name for name, _ in scope["headers"]}
    return scope["method"] in WRITES or bool(names & {b"content-length", b"transfer-encoding"})


def values(headers: Headers, name: bytes) -> list[bytes]:
    """All that the headers say of a name."""
    return [value for found, value in headers if found == name]


def length(headers: Headers) -> int | None:
    """The bytes that are said to come; None: it is not said."""
    said = [value for value in values(headers, b"content-length") if value.isdigit()]
    return max((int(value[:20]) for value in said), default=None)


async def read_body(receive: Receive, *, limits: Settings) -> bytes:
    """The whole body, which has a size and a time.

    Raises:
        Refused: it is too large, too slow, or breaks off.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(limits.body_seconds):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Refused("the request broke off")
                body += message.get("body", b"")
                if len(body) > limits.most_body_bytes:
                    raise too_large(limits)
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError:
        raise Refused(
            f"the request took longer than {limits.body_seconds:g} s to arrive",
            status=408,
            headers={"connection": "close"},
        ) from None


def too_large(limits: Settings) -> Refused:
    """What a request with too long a body is told."""
    return Refused(
        f"the request has more than {limits.most_body_bytes} bytes",
        status=413,
        code="too_long",
        headers={"connection": "close"},
    )


def replayed(body: bytes, receive: Receive) -> Receive:
    """The body once, at once; then whatever follows, such as that the client has gone."""
    is_told = False

    async def again() -> MutableMapping[str, Any]:
        nonlocal is_told
        if is_told:
            return await receive()
        is_told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


@final
class Refusal:
    """A refusal as it is sent, written once for however many hear it."""

    def __init__(self, refused: Refused) -> None:
        self._body = json.dumps(refused.body).encode()
        headers = {"content-type": "application/json", **(refused.headers or {})}
        headers["content-length"] = str(len(self._body))
        self._start = _start(refused.status, headers)
        self._last_start = _start(refused.status, {**headers, "connection": "close"})

    async def say(self, send: Send, *, rest: Receive | None) -> None:
        """Says no; where the `rest` of a body may come, nobody reads it and the connection ends."""
        if rest is None:
            await send(self._start)
            await send({"type": "http.response.body", "body": self._body})
            return
        await send(self._last_start)
        await send({"type": "http.response.body", "body": self._body, "more_body": True})
        await _throw_away(rest)
        await send({"type": "http.response.body", "body": b""})


def _start(status: int, headers: dict[str, str]) -> MutableMapping[str, Any]:
    written = [(name.encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http.response.start", "status": status, "headers": written}


async def _throw_away(receive: Receive) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LINGER_S):
            while (await receive()).get("more_body", False):
                pass
