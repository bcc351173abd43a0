"""Slow, huge, deep and broken requests get a 4xx, cost little, and disturb nobody else."""

import asyncio
import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.load.client import CHAT, Address, Heard, ask, question, written
from tests.load.figures import figures, in_two_sizes, share
from tests.load.process import Process, serving

HEADERS_S = 10.0
"""When a server gives up waiting for headers (`server/listening.py:HEADERS_S`)."""
TAKING_S = 60.0
"""When it gives up on a client that takes nothing (`server/listening.py:TAKING_S`)."""


def huge_and_broken() -> Iterator[tuple[str, bytes]]:
    """Requests that are too large, too deep or no requests at all, by name."""
    said = {"role": "user", "content": "hello"}

    def post(body: dict[str, Any] | bytes, **headers: str) -> bytes:
        return written("POST", CHAT, body, headers)

    def chat(**fields: Any) -> bytes:
        return post({"model": "toy", "messages": [said], **fields})

    deep: Any = {}
    for _ in range(200):
        deep = {"properties": {"a": deep}}
    json_head = b'{"model": "toy", "messages": '
    yield "a body of 64 MiB", post(b" " * 2**26)
    yield "a chunked body of 64 MiB", _chunked(2**26)
    yield "a body that is said to be huge", post(b"{", **{"Content-Length": "9" * 18})
    yield "a length that is no number", post(b"{}", **{"Content-Length": "0x2"})
    yield "two lengths", post(b"{}", **{"content-length": "3"})
    yield "headers of 64 MiB", written("GET", "/health", None, {"X": "x" * 2**26})
    yield "ten thousand headers", written("GET", "/health", None, _many(10_000))
    yield "a key of a megabyte", written("GET", "/v1/models", None, {"Authorization": "x" * 2**20})
    yield "a path of a megabyte", written("GET", "/" + "x" * 2**20, None, {})
    yield "a message of a mebibyte", chat(messages=[{"role": "user", "content": "x" * 2**20}])
    yield "a message beyond the bound", chat(messages=[{"role": "user", "content": "x" * 1200000}])
    yield "ten thousand messages", chat(messages=[said] * 10_000)
    yield (
        "a thousand messages of noise",
        chat(messages=[{"role": "user", "content": "ab" * 900}] * 999),
    )
    yield "lists ten thousand deep", post(json_head + b"[" * 10_000)
    yield "tables a hundred thousand deep", post(b'{"a":' * 100_000)
    yield "a number of a million digits", post(b'{"seed": ' + b"9" * 10**6 + b"}")
    yield "a number without end", post(b'{"temperature": 1e999999}')
    yield "keys given twice", post(b'{"model": "toy", "model": "no", "messages": []}')
    yield "a schema two hundred deep", chat(response_format=_schema(deep))
    yield "a schema of a megabyte", chat(response_format=_schema({"enum": ["x" * 10**6]}))
    yield "a schema that goes round", chat(response_format=_schema({"$ref": "#"}))
    yield "ten thousand biases", chat(logit_bias={str(place): 1 for place in range(10_000)})
    yield "ids beyond the vocabulary", written("POST", "/v1/completions", _IDS, {})
    yield "a million ids", written("POST", "/v1/completions", {**_IDS, "prompt": [1] * 700_000}, {})
    yield "no UTF-8", post(b'{"model": "\xff\xfe"}')
    yield "half a surrogate pair", post(b'{"model": "\\ud800"}')
    yield "NUL", post(b'{"model": "toy\\u0000"}')
    yield "a packed body", post(b"\x1f\x8b" + b"\0" * 100, **{"Content-Encoding": "gzip"})
    yield "a form", post(b"a=b", **{"Content-Type": "application/x-www-form-urlencoded"})
    yield "files", post(b"--x--", **{"Content-Type": "multipart/form-data; boundary=x"})
    yield "another host", post(b"{}", Host="evil.test")
    yield "another site", post(b"{}", Origin="http://evil.test")
    yield "no HTTP", b"\x16\x03\x01" + b"\xff" * 500 + b"\r\n\r\n"
    yield "HTTP of another kind", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    yield "a method of noise", written("X" * 5000, "/", None, {})
    yield "a smuggled request", post(b"0\r\n\r\nGET /", **{"Transfer-Encoding": "chunked"})
    yield "a coding nobody knows", post(b"{}", **{"Transfer-Encoding": "gzip, chunked"})
    yield "many ranges", written("GET", "/web/theme.js", None, {"Range": _RANGES})


_IDS: dict[str, Any] = {"model": "toy", "prompt": [2**31 - 1]}
_RANGES = "bytes=" + ",".join(f"{place}-{place}" for place in range(2500))


def _schema(schema: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}


def _many(count: int) -> dict[str, str]:
    return {f"X-{place}": "y" for place in range(count)}


def _chunked(size: int) -> bytes:
    head = written("POST", CHAT, None, {"Transfer-Encoding": "chunked"})
    piece = b"10000\r\n" + b" " * 65536 + b"\r\n"
    head = head.replace(b"\r\n\r\n", b"\r\nContent-Type: application/json\r\n\r\n", 1)
    return head + piece * (size // 65536) + b"0\r\n\r\n"


async def said(address: Address, data: bytes, *, seconds: float = 30.0) -> tuple[bytes, float]:
    """What the server answers to these bytes, and after how long; empty: it hung up."""
    begun = time.monotonic()
    reader, writer = await asyncio.open_connection(*address)
    # Whoever sends much may be cut off in the middle of it.
    with contextlib.suppress(ConnectionError):
        writer.write(data)
        sending = asyncio.create_task(writer.drain())
        try:
            answer = await asyncio.wait_for(reader.read(65536), seconds)
            return answer, time.monotonic() - begun
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            writer.transport.abort()
    return b"", time.monotonic() - begun


@in_two_sizes(short=1, full=10)
def test_what_is_huge_deep_or_broken_costs_little(size: int, run: Path) -> None:
    with (
        figures(
            "huge, deep and broken requests",
            work=f"{size} times every request of `tests/load/test_hostile.py:huge_and_broken`, one "
            "after another",
            is_full=size == 10,
        ) as told,
        serving(run) as process,
    ):
        # What is loaded once, such as the compiler of schemas, is no growth.
        form = {"response_format": {"type": "json_object"}}
        asyncio.run(process.stream(question("warm", max_tokens=4, **form)))
        before, times, wrong, count = process.memory, [], [], 0
        for _ in range(size):
            for name, data in huge_and_broken():
                answer, seconds = asyncio.run(said(process.address, data))
                count += 1
                times.append(seconds)
                # Headers without end are answered, or the connection ends.
                if not answer.startswith(b"HTTP/1.1 4") and (answer or "headers" not in name):
                    wrong.append(f"{name}: {answer[:80]!r}")
        told.told("requests", count, unit="")
        told.none("other answers than 4xx", wrong)
        told.soon("95 % of answers", share(times, 0.95), 0.2)
        told.at_most("memory grew by", process.memory - before, 20, unit="MiB")
        heard = asyncio.run(process.stream(question("after", max_tokens=4)))
        told.exactly("the next request is answered", heard.is_whole, True)


async def _trickle(address: Address) -> float:
    """Seconds until a connection that sends a byte of a header each second is closed."""
    reader, writer = await asyncio.open_connection(*address)
    begun = time.monotonic()
    with contextlib.suppress(ConnectionError):
        writer.write(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")
        while not reader.at_eof() and time.monotonic() - begun < 3 * HEADERS_S:
            writer.write(b"x")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(reader.read(100), 1.0)
    writer.transport.abort()
    return time.monotonic() - begun


async def _trickle_again(address: Address) -> float:
    """The same for the second request of a connection, whose first one was answered."""
    reader, writer = await asyncio.open_connection(*address)
    writer.write(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nGET /health HTTP/1.1\r\nX-Sl")
    await reader.readuntil(b'{"status":"ok"}')
    begun = time.monotonic()
    with contextlib.suppress(ConnectionError):
        while not reader.at_eof() and time.monotonic() - begun < 3 * HEADERS_S:
            writer.write(b"x")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(reader.read(100), 1.0)
    writer.transport.abort()
    return time.monotonic() - begun


@in_two_sizes(short=20, full=200)
def test_connections_that_trickle_are_closed_and_disturb_nobody(size: int, run: Path) -> None:
    async def load(process: Process) -> tuple[list[float], list[Heard]]:
        trickling = [
            asyncio.create_task(kind(process.address))
            for _ in range(size)
            for kind in (_trickle, _trickle_again)
        ]
        heard = []
        while not all(each.done() for each in trickling):
            heard.append(await process.stream(question("hello", max_tokens=16)))
            await asyncio.sleep(0.2)
        return list(await asyncio.gather(*trickling)), heard

    with (
        figures(
            "connections that trickle",
            work=f"{2 * size} connections that send a byte of a header each second, half of them "
            "after a first request that was whole",
            is_full=size == 200,
        ) as told,
        serving(run) as process,
    ):
        closed, heard = asyncio.run(load(process))
        told.exactly("closed", sum(each < 3 * HEADERS_S for each in closed), 2 * size)
        told.soon("the last was closed after", max(closed), HEADERS_S + 2)
        told.exactly("others answered", sum(each.is_whole for each in heard), len(heard))
        told.soon("95 % of others' first tokens", share([e.first_token for e in heard], 0.95), 0.25)


@pytest.mark.slow
def test_clients_that_take_nothing_are_cut_off_and_disturb_nobody(run: Path) -> None:
    count = 50
    with (
        figures(
            "clients that take nothing",
            work=f"{count} clients that ask for 4 answers with 20 rivals of each token, all "
            "answered at once, and read nothing of them",
            is_full=True,
        ) as told,
        # Nobody waits for a place: others would hear nothing until those are cut off.
        serving(run, "max_running=256") as process,
    ):
        before = process.memory
        files = process.files
        heard, most = asyncio.run(_take_nothing(process, count))
        told.exactly("others answered", sum(each.is_whole for each in heard), len(heard))
        told.soon("95 % of others' gaps", share([g for e in heard for g in e.gaps], 0.95), 0.25)
        told.told("memory grew at most by", most - before, unit="MiB")
        told.at_most("connections that stayed", process.files - files, 5, unit="")


async def _take_nothing(process: Process, count: int) -> tuple[list[Heard], float]:
    """What others hear until everybody who takes nothing is cut off, and the most memory held."""
    asked = {
        **question("hello", max_tokens=900, n=4, logprobs=True, top_logprobs=20),
        "model": process.model,
    }
    data = written("POST", CHAT, asked, {})
    before, writers, heard, most = process.files, [], [], 0.0
    for _ in range(count):
        _, writer = await asyncio.open_connection(*process.address, limit=1024)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(data)
        writers.append(writer)
    begun = time.monotonic()
    while process.files < before + count and time.monotonic() - begun < TAKING_S:
        await asyncio.sleep(0.01)  # until all are taken in
    while process.files > before + 5 and time.monotonic() - begun < 4 * TAKING_S:
        heard.append(await process.stream(question("hello", max_tokens=16)))
        most = max(most, process.memory)
        await asyncio.sleep(0.5)
    for writer in writers:
        writer.transport.abort()
    return heard, most


@pytest.mark.faults
def test_an_answer_says_what_the_request_lacked_also_to_who_still_sends(run: Path) -> None:
    """A refusal is heard, though the body is not read."""

    async def send(process: Process) -> list[Heard]:
        large = b" " * (4 * 2**20)
        form = {"Content-Type": "text/plain"}
        return [
            await ask(process.address, large),
            await ask(process.address, large, headers=form),
        ]

    with serving(run) as process:
        too_large, no_json = asyncio.run(send(process))
    assert (too_large.status, no_json.status) == (413, 415)
    for each in (too_large, no_json):
        assert each.headers["connection"] == "close"
        assert json.loads(each.body)["error"]["message"]
