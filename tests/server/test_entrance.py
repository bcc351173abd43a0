"""Who finds no room hears so before the body is read; who finds room keeps it."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from fastapi.testclient import TestClient

from cutaway.server.app import create_app
from cutaway.server.engine_thread import EngineThread
from cutaway.server.entrance import SMALL_BODY_BYTES, Entrance
from cutaway.server.models import Served
from cutaway.server.rooms import Room, Rooms
from cutaway.server.settings import Settings
from tests.server.conftest import chat
from tests.server.test_measures import samples

CHAT = "/v1/chat/completions"
KEY = "a-key-of-this-test-only"
JSON = (b"content-type", b"application/json")

Message = dict[str, Any]


class Fixed(Room):
    """A room with so many places, which only this test takes."""

    def __init__(self, left: int) -> None:
        self._left = left

    @property
    def left(self) -> int:
        return self._left


def scope(body: bytes | None = None, *headers: tuple[bytes, bytes], path: str = CHAT) -> Message:
    """A request's own part of it, its body said to come where there is one."""
    said = [] if body is None else [(b"content-length", str(len(body)).encode())]
    return {
        "type": "http",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "scheme": "http",
        "http_version": "1.1",
        "asgi": {"version": "3.0"},
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8000),
        "headers": [(b"host", b"127.0.0.1:8000"), JSON, *said, *headers],
    }


async def asked(app: Any, given: Message, *, body: bytes | None = b"{}") -> list[Message]:
    """What is answered to a request; None: its body must not be asked for."""
    told: list[Message] = []
    coming = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        assert body is not None, "the body was read"
        if not coming:
            await asyncio.Event().wait()  # the client stays
        return coming.pop()

    async def send(message: Message) -> None:
        told.append(message)

    await app(given, receive, send)
    return told


async def answer(_: Message, receive: Any, send: Any) -> None:
    """An app that answers everybody."""
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def entrance(*rooms: Room, inside: Any = answer, **settings: Any) -> Entrance:
    """An entrance to a chat of these rooms."""
    behind = Rooms({CHAT: rooms})
    limits = Settings(**settings)
    return Entrance(inside, settings=limits, rooms=behind, note_refusal=lambda: None)


def headers_of(told: list[Message]) -> dict[bytes, bytes]:
    return dict(told[0]["headers"])


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(work, 10))


def test_a_full_room_is_told_before_the_body_is_read():
    told = run(asked(entrance(Fixed(0)), scope(b"{}"), body=None))
    assert told[0]["status"] == 429
    assert int(headers_of(told)[b"retry-after"]) >= 1
    error = json.loads(told[1]["body"])["error"]
    assert (error["type"], error["code"]) == ("rate_limit_error", "overloaded")
    # What is small may still come: the next request of the connection is found behind it.
    assert b"connection" not in headers_of(told)
    assert not told[1].get("more_body", False)


@pytest.mark.parametrize(
    "given",
    [
        scope(b" " * (SMALL_BODY_BYTES + 1)),
        scope(None, (b"transfer-encoding", b"chunked")),
        scope(b"{}", (b"expect", b"100-continue")),
    ],
    ids=["a large body", "one of no length", "one that waits to be asked for"],
)
def test_a_refused_body_that_may_be_long_or_never_come_ends_its_connection(given: Message):
    told = run(asked(entrance(Fixed(0)), given))
    assert (told[0]["status"], headers_of(told)[b"connection"]) == (429, b"close")


def test_of_a_burst_as_many_come_in_as_there_is_room_and_the_others_hear_so_first():
    order = []

    async def inside(given: Message, receive: Any, send: Any) -> None:
        order.append("in")
        await asyncio.sleep(0.01)
        await answer(given, receive, send)

    async def burst() -> None:
        door = entrance(Fixed(3), inside=inside)

        async def one() -> None:
            told = await asked(door, scope(b"{}"))
            if told[0]["status"] == 429:
                order.append("refused")

        await asyncio.gather(*(one() for _ in range(12)))

    run(burst())
    assert order == ["refused"] * 9 + ["in"] * 3


def test_a_place_that_was_not_needed_is_free_again():
    async def fail(*_: Any) -> None:
        raise OSError("no")

    async def many() -> None:
        door = entrance(Fixed(1), inside=fail)
        for _ in range(3):
            with pytest.raises(OSError, match="no"):
                await asked(door, scope(b"{}"))
        waiting = asyncio.create_task(asked(door, scope(b"{}")))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        with pytest.raises(OSError, match="no"):
            await asked(door, scope(b"{}"))

    run(many())


def test_a_body_that_does_not_come_takes_no_place():
    async def slow() -> tuple[int, int]:
        door = entrance(Fixed(1), body_seconds=0.2)
        told: list[Message] = []

        async def never() -> Message:
            await asyncio.sleep(10)
            return {}

        async def send(message: Message) -> None:
            told.append(message)

        waiting = asyncio.create_task(door(scope(b"{}"), never, send))
        await asyncio.sleep(0.01)
        other = await asked(door, scope(b"{}"))
        await waiting
        return other[0]["status"], told[0]["status"]

    assert run(slow()) == (200, 408)


@pytest.mark.parametrize(("left", "status"), [((0, 1), 200), ((1, 0), 200), ((0, 0), 429)])
def test_where_a_request_may_go_to_two_rooms_only_both_can_be_full(
    left: tuple[int, int], status: int
):
    told = run(asked(entrance(*map(Fixed, left)), scope(b"{}")))
    assert told[0]["status"] == status


def test_a_stranger_hears_of_the_key_and_not_of_the_room(
    client_of: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch
):
    client = client_of(Settings(key=KEY))
    monkeypatch.setattr(EngineThread, "left", 0)
    known = {"authorization": f"Bearer {KEY}"}
    assert client.post(CHAT, json=chat()).status_code == 401
    for headers, status in (
        ({"host": "evil.test"}, 421),
        ({"origin": "http://evil.test"}, 403),
        ({"content-type": "text/plain"}, 415),
        ({}, 429),
    ):
        told = client.post(
            CHAT, content=b"{}", headers={"content-type": JSON[1], **known, **headers}
        )
        assert told.status_code == status
        assert told.headers["x-content-type-options"] == "nosniff"


def test_only_what_needs_room_is_refused_and_every_refusal_is_counted(
    client_of: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch
):
    client = client_of()
    monkeypatch.setattr(EngineThread, "left", 0)
    for path in (CHAT, "/v1/completions"):
        told = client.post(path, json={})
        assert told.status_code == 429
        assert set(told.json()["error"]) == {"message", "type", "param", "code"}
    assert client.get("/v1/models").status_code == 200
    assert client.get(CHAT).status_code == 405
    # Here are no encoders: that is what is wrong, and not that others write.
    assert client.post("/v1/embeddings", json={"model": "toy", "input": "a"}).status_code == 404
    told = samples(client)
    assert told["cutaway_rejected_total"] == 2
    assert told["cutaway_http_responses_total,method=POST,status=429"] == 2


def test_an_answer_that_waits_is_counted_once(served: Served):
    """In the queue, and no more by those who are on their way to it."""
    app = create_app(Settings(most_running=1, most_waiting=1), models=[served])
    body = json.dumps(chat(stream=True)).encode()

    async def one_by_one() -> list[Message]:
        waiting = []
        for count in (1, 2):
            waiting.append(asyncio.create_task(asked(app, scope(body), body=body)))
            while app.state.thread.waiting < count:
                assert not waiting[-1].done(), waiting[-1].result()
                await asyncio.sleep(0.001)
        told = await asked(app, scope(body), body=None)
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert app.state.thread.left == 2
        return told

    assert run(one_by_one())[0]["status"] == 429
