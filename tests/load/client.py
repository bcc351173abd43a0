"""A client made for loads: hundreds of streams in one task each, every chunk timed and checked."""

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import Any

CHAT = "/v1/chat/completions"
MOST_SECONDS = 120.0
"""Longer than this no answer of a load takes; a client that waits so long has found a hang."""

Address = tuple[str, int]


@dataclass(kw_only=True)
class Heard:
    """What a client has heard of one answer."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""
    """The whole body; of a stream, the text of the answer."""
    reason: str | None = None
    """Of a stream: why it ended."""
    is_whole: bool = False
    """Whether the end came: `[DONE]` of a stream, as many bytes as were promised of others."""
    begun: float = 0.0
    """When it was asked, in seconds of `time.monotonic`."""
    first: float = 0.0
    """Seconds until the first byte of the answer's headers."""
    moments: list[float] = field(default_factory=list)
    """When each chunk came."""
    seconds: float = 0.0
    """Seconds until the end."""
    prompt_tokens: int = 0
    tokens: int = 0

    @property
    def first_token(self) -> float:
        """Seconds until the first piece of text: the chunk before only says who speaks."""
        return self.moments[1] - self.begun

    @property
    def gaps(self) -> list[float]:
        """Seconds between two chunks."""
        return [b - a for a, b in zip(self.moments, self.moments[1:], strict=False)]


def question(content: str, **fields: Any) -> dict[str, Any]:
    """A request for a streamed answer that is the same every time."""
    messages = [{"role": "user", "content": content}]
    return {"messages": messages, "temperature": 0, "stream": True, **fields}


def written(
    method: str, path: str, body: dict[str, Any] | bytes | None, headers: dict[str, str]
) -> bytes:
    """A request as it goes over the wire."""
    content = json.dumps(body).encode() if isinstance(body, dict) else (body or b"")
    fields = {"Host": "127.0.0.1", "Connection": "close", **headers}
    if body is not None:
        fields = {
            "Content-Type": "application/json",
            "Content-Length": str(len(content)),
            **fields,
        }
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + content


async def ask(
    address: Address,
    body: dict[str, Any] | bytes | None = None,
    *,
    method: str = "POST",
    path: str = CHAT,
    headers: dict[str, str] | None = None,
    leave_after: int | None = None,
) -> Heard:
    """Asks once; `leave_after` chunks of a stream (0: after the headers) it hangs up."""
    heard = Heard(begun=time.monotonic())
    async with asyncio.timeout(MOST_SECONDS):
        reader, writer = await asyncio.open_connection(*address, limit=2**22)
        try:
            writer.write(written(method, path, body, headers or {}))
            await _read_head(reader, heard)
            if leave_after != 0:
                await _read_body(reader, heard, leave_after=leave_after)
        finally:
            writer.transport.abort()
    heard.seconds = time.monotonic() - heard.begun
    return heard


async def _read_head(reader: asyncio.StreamReader, heard: Heard) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    heard.first = time.monotonic() - heard.begun
    status, *lines = head.strip().split("\r\n")
    heard.status = int(status.split()[1])
    heard.headers = {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }


async def _read_body(
    reader: asyncio.StreamReader, heard: Heard, *, leave_after: int | None
) -> None:
    is_stream = heard.headers.get("content-type", "").startswith("text/event-stream")
    if heard.headers.get("transfer-encoding") != "chunked":
        length = int(heard.headers.get("content-length", 0))
        heard.body = (await reader.readexactly(length)).decode()
        heard.is_whole = True
        return
    pieces, events = [], 0
    while size := int(await reader.readline(), 16):
        piece = (await reader.readexactly(size + 2))[:-2].decode()
        heard.moments.append(time.monotonic())
        if not is_stream:
            pieces.append(piece)
            continue
        pieces.append(_text(piece, heard, number=events))
        events += not piece.startswith(":")
        if leave_after is not None and events >= leave_after:
            break
    else:
        heard.is_whole = heard.is_whole or not is_stream
    heard.body = "".join(pieces)


def _text(event: str, heard: Heard, *, number: int) -> str:
    """The text that an event adds; its form must be strict."""
    if event == ": alive\n\n":
        return ""
    assert event.startswith(f"id: {number}\ndata: "), event[:80]
    assert event.endswith("\n\n"), event[-80:]
    data = event.removeprefix(f"id: {number}\ndata: ")[:-2]
    assert "\n" not in data
    if data == "[DONE]":
        heard.is_whole = True
        return ""
    told = json.loads(data)
    assert "error" not in told, told
    if usage := told.get("usage"):
        heard.prompt_tokens, heard.tokens = usage["prompt_tokens"], usage["completion_tokens"]
    text = ""
    for choice in told["choices"]:
        heard.reason = choice["finish_reason"] or heard.reason
        text += choice.get("text") or choice.get("delta", {}).get("content") or ""
    return text
