"""What takes long is done beside the event loop, in turn, and not without end."""

import asyncio
import threading
import time
from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient

from cutaway.server.engine_thread import Overloaded
from cutaway.server.models import MOST_FORMS, Forms, Served
from cutaway.server.protocol import Refused
from cutaway.server.reading import AT_ONCE, Readers
from cutaway.server.settings import Settings
from tests.server.conftest import LETTERS, chat


def test_reading_does_not_hold_up_the_event_loop():
    async def both() -> tuple[str, int]:
        readers, turns = Readers(seconds=5.0, most=4), 0
        task = asyncio.create_task(readers.read(lambda: time.sleep(0.2) or "read"))
        while not task.done():
            await asyncio.sleep(0.001)
            turns += 1
        readers.close()
        return await task, turns

    told, turns = asyncio.run(both())
    assert told == "read"
    assert turns > 20


def test_who_wants_to_read_where_many_wait_is_told_to_come_again():
    async def many() -> None:
        readers, goes_on = Readers(seconds=5.0, most=AT_ONCE + 1), threading.Event()
        tasks = [asyncio.create_task(readers.read(goes_on.wait)) for _ in range(AT_ONCE + 1)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await readers.read(len, "x")
        goes_on.set()
        await asyncio.gather(*tasks)
        assert await readers.read(len, "x") == 1
        readers.close()

    asyncio.run(many())


def test_what_takes_too_long_is_given_up_and_keeps_its_place_until_it_ends():
    async def slow() -> None:
        readers, goes_on = Readers(seconds=0.05, most=1), threading.Event()
        with pytest.raises(Refused, match=r"longer than 0\.05 s") as refused:
            await readers.read(goes_on.wait)
        assert refused.value.status == 408
        with pytest.raises(Overloaded):
            await readers.read(len, "x")
        goes_on.set()
        await asyncio.sleep(0.05)
        assert await readers.read(len, "x") == 1
        readers.close()

    asyncio.run(slow())


def test_a_failure_is_told_to_whoever_asked():
    async def fail() -> None:
        readers = Readers(seconds=1.0, most=1)
        with pytest.raises(Refused, match="no"):
            await readers.read(_refuse)
        readers.close()

    asyncio.run(fail())


def _refuse() -> None:
    raise Refused("no")


@pytest.mark.parametrize("way", ["prompt", "schema"])
def test_a_prompt_or_a_schema_that_takes_too_long_is_refused(
    client_of: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch, way: str
):
    """Both pass through the readers, with their budget."""
    client = client_of(Settings(read_seconds=0.05))
    form = {"type": "json_object"}
    assert client.post("/v1/chat/completions", json=chat(response_format=form)).status_code == 200
    kind, name = (Served, "read_chat") if way == "prompt" else (Forms, "get")
    monkeypatch.setattr(kind, name, lambda *_, **__: time.sleep(0.2))
    told = client.post("/v1/chat/completions", json=chat(response_format=form))
    assert (told.status_code, told.json()["error"]["code"]) == (408, "too_slow")


def test_of_many_forms_the_last_few_are_kept():
    forms = Forms(LETTERS)
    for place in range(MOST_FORMS + 20):
        forms.get({"const": place})
    assert len(forms._kept) == MOST_FORMS
