"""Whatever is sent, the server answers or says what was wrong: no 5xx, nothing of the inside."""

import asyncio
import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.load.client import Address, ask, question, written
from tests.load.figures import figures, in_two_sizes
from tests.load.inputs import BYTES, NASTY, as_json, changed_bytes, changed_tree
from tests.load.process import Process, serving

INSIDE = re.compile(
    rb"0x[0-9a-f]{6,}|Traceback|site-packages|\.py\b|sqlalchemy|pydantic|starlette|/tmp/|Errno",
    re.I,
)
"""What an error must never tell."""
PLAIN = b"Invalid HTTP request received."
"""What is said to bytes that are no HTTP: all that uvicorn says by itself."""
AT_ONCE = 8
VERBS = ("GET", "GET", "GET", "HEAD", "DELETE", "OPTIONS", "POST", "TRACE")
GIVEN_UP_S = 0.3
"""How long is waited for an answer to half a request."""

SAID = {"role": "user", "content": "hello"}
TREE = {
    "title": "Rain",
    "system": "Be brief.",
    "leaf": "a",
    "messages": [
        {"id": "q", "parent": None, "role": "user", "content": "?", "details": {}},
        {"id": "a", "parent": "q", "role": "assistant", "content": "!", "details": {"n": 1}},
    ],
}
CHAT: dict[str, Any] = {
    "model": "toy",
    "messages": [{"role": "system", "content": "Be brief."}, SAID],
    "max_tokens": 3,
    "temperature": 0.5,
    "top_p": 0.9,
    "n": 2,
    "stop": ["x", "yz"],
    "seed": 7,
    "logprobs": True,
    "top_logprobs": 2,
    "logit_bias": {"3": 1.5},
    "presence_penalty": 0.1,
    "stream_options": {"include_usage": True},
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
}
BODIES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("POST", "/v1/chat/completions", CHAT),
    ("POST", "/v1/chat/completions", {**CHAT, "stream": True}),
    (
        "POST",
        "/v1/chat/completions",
        {
            "model": "toy",
            "messages": [{"role": "user", "content": [{"type": "text", "text": "hello"}]}],
            "max_tokens": 3,
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "x", "schema": {"type": "object", "maxProperties": 1}},
            },
        },
    ),
    ("POST", "/v1/completions", {"model": "toy", "prompt": ["a", "b"], "max_tokens": 2}),
    ("POST", "/v1/completions", {"model": "toy", "prompt": [1, 2], "logprobs": 2, "min_p": 0.1}),
    ("POST", "/v1/embeddings", {"model": "toy", "input": ["a"], "encoding_format": "float"}),
    ("POST", "/api/tokens", {"model": "toy", "messages": [SAID]}),
    ("POST", "/api/conversations", TREE),
    ("PUT", "/api/conversations/0123456789abcdef", TREE),
    ("PATCH", "/api/conversations/0123456789abcdef", {"title": "Snow"}),
)
PATHS = (
    *("/", "/compare", "/runs", "/health", "/ready", "/metrics", "/openapi.json", "/web/theme.js"),
    *("/v1/models", "/v1/models/toy", "/api/runs", "/api/runs/x/metrics?after=1"),
    "/api/conversations?search=rain&limit=3&before=2026",
    *("/api/conversations/export", "/api/conversations/0123456789abcdef/export?as=markdown"),
)


def generated(count: int, *, seed: int) -> Iterator[bytes]:
    """Requests that are nearly right, most of them in their body."""
    random = Random(seed)
    for _ in range(count):
        method, path, tree = random.choice(BODIES)
        headers: dict[str, str] = {}
        kind = random.random()
        if kind < 0.6:
            yield written(method, path, as_json(changed_tree(tree, random=random)), {})
        elif kind < 0.72:
            yield written(method, path, changed_bytes(as_json(tree), random=random), {})
        elif kind < 0.85:
            target = changed_bytes(random.choice(PATHS).encode(), random=random)
            quoted = "".join(chr(each) if 32 < each < 127 else f"%{each:02x}" for each in target)
            verb = random.choice(VERBS)
            yield written(verb, "/" + quoted.lstrip("/"), None, {})
        elif kind < 0.95:
            name = random.choice(("Host", "Content-Type", "Origin", "Authorization", "Range", "X"))
            value = str(random.choice((*NASTY, *BYTES)))[:200]
            headers[name] = "".join(each for each in value if 32 <= ord(each) < 127)
            yield written(method, path, as_json(tree), headers)
        else:
            yield changed_bytes(written(method, path, as_json(tree), {}), random=random)


async def _said(address: Address, data: bytes) -> bytes:
    """All that the server answers; half a request is given up soon."""
    reader, writer = await asyncio.open_connection(*address)
    answer = b""
    with contextlib.suppress(ConnectionError, TimeoutError):
        writer.write(data)
        async with asyncio.timeout(30.0):
            while piece := await asyncio.wait_for(
                reader.read(2**16), None if answer else max(GIVEN_UP_S, 10.0 * _is_whole(data))
            ):
                answer += piece
    writer.transport.abort()
    return answer


def _is_whole(data: bytes) -> bool:
    """Whether a request has all the bytes that it promises, and closes the connection."""
    head, found, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"\r\nContent-Length: (\d+)", head)
    promised = int(length[1][:9]) if length else 0
    return bool(found) and b"Connection: close" in head and len(body) >= promised


def mistake(answer: bytes) -> str | None:
    """What is wrong with an answer, if anything is."""
    head, _, body = answer.partition(b"\r\n\r\n")
    if not answer or not head.startswith(b"HTTP/1.1 "):
        return None if not answer else "no HTTP"
    status = int(head[9:12])
    if status >= 500 or b'"status": 5' in body:
        return f"status {status}"
    if status < 400 or not body or body == PLAIN:
        return None
    if INSIDE.search(answer):
        return "tells of the inside"
    try:
        error = json.loads(body)["error"]
    except (ValueError, KeyError, TypeError):
        return "an error of another form"
    is_right = set(error) == {"message", "type", "param", "code"} and error["message"]
    return None if is_right else "an error of another form"


@in_two_sizes(short=1000, full=20_000)
def test_no_request_makes_the_server_fail(size: int, run: Path) -> None:
    with (
        figures(
            "generated requests",
            work=f"{size} requests from one seed, most of them right but for one or two places",
            is_full=size == 20_000,
        ) as told,
        serving(run, "max_waiting=256") as process,
    ):
        before = process.memory
        wrong, statuses = asyncio.run(_send_all(process, size))
        told.told("requests", size, unit="")
        for group, count in sorted(statuses.items()):
            told.told(f"answers of {group}", count, unit="")
        told.none("answers of 5xx, of another form, or that tell of the inside", wrong)
        told.told("memory grew by", process.memory - before, unit="MiB")
        metrics = asyncio.run(process.metrics())
        told.exactly("5xx by /metrics", sum('status="5' in name for name in metrics), 0)
        heard = asyncio.run(process.stream(question("after", max_tokens=4)))
        told.exactly("the next request is answered", heard.is_whole, True)


async def _send_all(process: Process, size: int) -> tuple[list[str], dict[str, int]]:
    requests = generated(size, seed=5)
    wrong: list[str] = []
    statuses: dict[str, int] = {}

    async def send() -> None:
        for data in requests:
            answer = await _said(process.address, data)
            group = f"{answer[9:10].decode()}xx" if answer else "none: hung up"
            statuses[group] = statuses.get(group, 0) + 1
            if found := mistake(answer):
                wrong.append(f"{found}: {data[:600]!r}: {answer[:300]!r}")

    await asyncio.gather(*(send() for _ in range(AT_ONCE)))
    return wrong, statuses


CHOSEN: tuple[Any, ...] = (
    *(-1, 0, 1, 2, 2**31, 2**63, -(2**63) - 1, 10**30, 0.5, -0.5, 1.5, 1e308, float("nan")),
    *("", "1", "true", "toy", "\x00", True, False, None, [], {}, [1], {"a": 1}, ["x"] * 17),
)


def chosen() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every field of every request with every chosen value, by path and field."""
    extras = {"top_k": 2, "min_p": 0.1, "repetition_penalty": 1.1, "frequency_penalty": 0.1}
    more = {
        "user": "x",
        "response_format": None,
        "tool_choice": "auto",
        "unknown": 1,
        "max_completion_tokens": 3,
        "parallel_tool_calls": True,
        "store": False,
    }
    wholes = (
        ("/v1/chat/completions", {**CHAT, **extras, **more}),
        ("/v1/completions", {"prompt": "a", "max_tokens": 2, "logprobs": 1, **extras}),
        ("/api/conversations", TREE),
    )
    base = {"model": "toy", "messages": [SAID], "max_tokens": 3}
    for path, whole in wholes:
        least = base if path.startswith("/v1/chat") else {"model": "toy", "prompt": "a"}
        least = TREE if path == "/api/conversations" else least
        for field in whole:
            for value in CHOSEN:
                for stream in (False, True) if path.startswith("/v1/") else (None,):
                    tree = {**least, field: value}
                    if stream is not None and field != "stream":
                        tree["stream"] = stream
                    yield path, field, tree


@pytest.mark.faults
def test_every_chosen_value_of_every_field_is_taken_or_refused_by_name(run: Path) -> None:
    requests = list(chosen())
    assert len(requests) > 1000

    async def send(process: Process) -> list[str]:
        wrong = []
        for path, field, tree in requests:
            heard = await ask(process.address, as_json(tree), path=path)
            if heard.status == 200:
                continue
            error = json.loads(heard.body)["error"]
            # A value may make another field the one that is wrong: too few tokens for the prompt.
            is_named = str(error["param"] or error["message"]).startswith((field, "the body"))
            if heard.status not in (400, 404) or not (is_named or field in error["message"]):
                wrong.append(f"{path} {field}={tree[field]!r}: {heard.status} {error}")
        return wrong

    with serving(run) as process:
        assert asyncio.run(send(process)) == []
