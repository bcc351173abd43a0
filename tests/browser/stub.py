"""A small server that speaks the API of the real one, with answers that a test can foresee."""

import asyncio
import itertools
import json
import math
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles

import cutaway.server.runs

WEB = Path(cutaway.server.runs.__file__).parent / "web"

POLICY = (
    "default-src 'self'; img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'self'; object-src 'none'"
)

ANSWER = (
    "A **tokenizer** cuts text into pieces that occur often.\n\n"
    "1. It begins with single bytes.\n2. It joins the pair that occurs most.\n"
    "3. It goes on until the vocabulary is full.\n\n"
    "```python\ndef join(ids, pair, new):\n    ...\n```\n\n"
    "The word *heaven* may be one token, and a rare name several."
)


@dataclass
class Stub:
    """What the server says and remembers; a test changes it as it likes."""

    answers: dict[str, str] = field(default_factory=dict)
    """Answers by question; any other question gets `ANSWER`."""
    tokens: dict[str, list[str]] = field(default_factory=dict)
    """Answers by question that are given token by token as they stand here."""
    pause: float = 0.004
    """Seconds between two tokens."""
    failures: list[tuple[int, str, dict[str, str]]] = field(default_factory=list)
    """Status, message and headers of the next answers that fail."""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    """Every request for an answer."""
    conversations: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What was saved."""
    deleted: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What can be brought back."""
    judged: tuple[str, ...] = ("r a i n", "R EY N")
    """Answers that are judged; the first is the question as well."""
    judgements: list[dict[str, Any]] = field(default_factory=list)
    """What was judged."""
    running: int = 0
    """Answers that are being written."""
    freed: float = 0.0
    """When the last one ended."""
    models: tuple[str, ...] = ("pretrained", "finetuned")
    """Names of the models."""
    base: frozenset[str] = frozenset()
    """Those of them that only go on with a text."""
    context_length: int = 512
    """Tokens that they read at once."""


def pieces(text: str) -> list[str]:
    """A text in pieces of about three letters, as a small tokenizer would cut it."""
    return [text[at : at + 3] for at in range(0, len(text), 3)]


def logprobs(piece: str, place: int) -> dict[str, Any]:
    """A token with ten rivals; how surprising it is goes round with its place."""
    share = (0.95, 0.7, 0.4, 0.12, 0.02, 0.003)[place % 6]
    others = [(1 - share) * 0.5**rank for rank in range(1, 10)]
    entry = {"token": piece, "logprob": math.log(share), "bytes": list(piece.encode())}
    rivals = [entry] + [
        {"token": f" r{rank}", "logprob": math.log(other), "bytes": list(f" r{rank}".encode())}
        for rank, other in enumerate(others)
    ]
    rivals.sort(key=lambda rival: -rival["logprob"])
    for rank, rival in enumerate(rivals):
        rival["sampled_logprob"] = rival["logprob"] if rank < 6 else None
    return {**entry, "top_logprobs": [dict(rival) for rival in rivals]}


def make_app(stub: Stub, runs: Path) -> FastAPI:
    """The server."""
    app = FastAPI()
    ids = itertools.count(1)

    @app.middleware("http")
    async def protect(request: Request, call_next: Any) -> Response:
        response: Response = await call_next(request)
        response.headers.setdefault("Content-Security-Policy", POLICY)
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
        return response

    pages = {"/": "index", "/compare": "compare", "/runs": "runs", "/label": "label"}
    for path, name in pages.items():
        app.add_api_route(path, lambda name=name: FileResponse(WEB / f"{name}.html"))

    @app.get("/api/pages")
    def list_pages() -> dict[str, list[str]]:
        return {"pages": list(pages)}

    @app.get("/api/label/next")
    def next_judgement(rater: str) -> dict[str, Any]:
        return label_state(stub, rater)

    @app.post("/api/label/judgements")
    async def judge(request: Request) -> dict[str, Any]:
        given = await request.json()
        stub.judgements.append(given)
        return label_state(stub, given["rater"])

    app.mount("/web", StaticFiles(directory=WEB))
    app.include_router(cutaway.server.runs.runs_router(runs))

    @app.get("/v1/models")
    def list_models() -> dict[str, Any]:
        rows = [
            {
                "id": name,
                "context_length": stub.context_length,
                "is_chat": name not in stub.base,
            }
            for name in stub.models
        ]
        return {"object": "list", "data": rows}

    @app.post("/api/tokens")
    async def count(request: Request) -> dict[str, int]:
        messages = (await request.json())["messages"]
        used = sum(len(pieces(message["content"])) + 4 for message in messages)
        return {"tokens": used, "context_length": stub.context_length}

    @app.post("/v1/chat/completions")
    async def answer(request: Request) -> Response:
        body = await request.json()
        stub.bodies.append(body)
        if stub.failures:
            status, message, headers = stub.failures.pop(0)
            error = {"message": message, "type": "error", "param": None, "code": None}
            return JSONResponse({"error": error}, status_code=status, headers=headers)
        return StreamingResponse(_stream(stub, body), media_type="text/event-stream")

    @app.post("/v1/completions")
    async def go_on(request: Request) -> Response:
        body = await request.json()
        stub.bodies.append(body)
        return StreamingResponse(_stream_text(), media_type="text/event-stream")

    @app.get("/api/conversations")
    def list_conversations(search: str = "", limit: int = 50) -> dict[str, Any]:
        found = [
            {name: each[name] for name in ("id", "title", "created", "updated")}
            for each in stub.conversations.values()
            if search.lower() in _said(each)
        ]
        return {"conversations": sorted(found, key=lambda each: each["updated"])[::-1][:limit]}

    @app.post("/api/conversations")
    async def create(request: Request) -> dict[str, Any]:
        number = next(ids)
        now = _now(number)
        whole = {"id": f"c{number}", "created": now, "updated": now, **await request.json()}
        stub.conversations[whole["id"]] = whole
        return whole

    @app.get("/api/conversations/export", response_class=PlainTextResponse)
    def export_all() -> str:
        return "".join(json.dumps(each) + "\n" for each in stub.conversations.values())

    @app.get("/api/conversations/{id}")
    def show(id: str) -> dict[str, Any]:
        if id not in stub.conversations:
            raise HTTPException(404, "there is no such conversation")
        return stub.conversations[id]

    @app.put("/api/conversations/{id}")
    @app.patch("/api/conversations/{id}")
    async def change(id: str, request: Request) -> dict[str, Any]:
        stub.conversations[id].update(await request.json())
        return stub.conversations[id]

    @app.delete("/api/conversations/{id}", status_code=204)
    def remove(id: str) -> None:
        stub.deleted[id] = stub.conversations.pop(id)

    @app.post("/api/conversations/{id}/restore")
    def restore(id: str) -> dict[str, Any]:
        stub.conversations[id] = stub.deleted.pop(id)
        return stub.conversations[id]

    @app.get("/api/conversations/{id}/export", response_class=PlainTextResponse)
    def export(id: str) -> str:
        return json.dumps(stub.conversations[id])

    return app


async def _stream(stub: Stub, body: dict[str, Any]) -> AsyncIterator[str]:
    messages = list(body["messages"])
    begun = messages.pop()["content"] if messages[-1]["role"] == "assistant" else ""
    text = stub.answers.get(messages[-1]["content"], ANSWER)
    rest = text[len(begun) :] if text.startswith(begun) else " and so it goes on."
    stub.running += 1
    try:
        reason = "stop"
        all_tokens = stub.tokens.get(messages[-1]["content"], pieces(rest))
        for place, piece in enumerate(all_tokens):
            if place == body["max_tokens"]:
                reason = "length"
                break
            choice = {"index": 0, "delta": {"content": piece}, "finish_reason": None}
            choice["logprobs"] = {"content": [logprobs(piece, place)]}
            yield _event({"choices": [choice]})
            await asyncio.sleep(stub.pause)
        yield _event({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
        count = min(len(all_tokens), body["max_tokens"])
        usage = {"prompt_tokens": 9, "completion_tokens": count}
        yield _event({"choices": [], "usage": usage})
        yield "data: [DONE]\n\n"
    finally:
        stub.running -= 1
        stub.freed = time.monotonic()


async def _stream_text() -> AsyncIterator[str]:
    """A text that goes on, in the form of /v1/completions."""
    for piece in (" and", " so", " on"):
        told = {"tokens": [piece], "token_logprobs": [-1.0], "top_logprobs": [{" or": -0.5}]}
        yield _event({"choices": [{"index": 0, "text": piece, "logprobs": told}]})
    yield _event({"choices": [{"index": 0, "text": "", "finish_reason": "length"}]})
    yield "data: [DONE]\n\n"


def label_state(stub: Stub, rater: str) -> dict[str, Any]:
    """What the page of judging shows next."""
    done = len(stub.judgements)
    share = {"value": 0.7, "low": 0.6, "high": 0.8, "trials": 30}
    return {
        "progress": {"done": done, "total": 20, "pace_s": 4.2, "left_s": 80.0},
        "minimum_s": 0.0,
        "is_writing": False,
        "failure": "",
        "meters": {"first_place": share, "longer": share, "with_oneself": None},
        "item": {
            "comparison": f"c{done}",
            "showing": 0,
            "prompt": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": stub.judged[0]},
            ],
            "answers": [
                {"key": f"k{place}", "text": text} for place, text in enumerate(stub.judged)
            ],
        },
    }


def _said(whole: dict[str, Any]) -> str:
    words = [whole["title"], *(each["content"] for each in whole["messages"])]
    return " ".join(words).lower()


def _event(chunk: dict[str, Any]) -> str:
    return f"data: {json.dumps(chunk)}\n\n"


def _now(number: int) -> str:
    seconds = time.time() + number / 1000
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{number % 1000:03}Z"


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """The server in a thread; gives its address."""
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="critical", lifespan="on")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        server.force_exit = True
        thread.join(timeout=5)
