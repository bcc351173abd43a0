"""How a server ends: asked to, it finishes what it has begun; killed, it has lost nothing."""

import asyncio
import json
import signal
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.load.client import Heard, ask, question
from tests.load.figures import figures, in_two_sizes
from tests.load.process import Process, serving, serving_stub
from tests.load.stub import letters

LETTERS = 200
SAVED = "/api/conversations"


@in_two_sizes(short=8, full=32)
def test_a_signal_lets_every_stream_be_finished(size: int) -> None:
    async def drain(process: Process) -> tuple[list[Heard], BaseException | int]:
        asked = [
            asyncio.create_task(process.stream(question(f"q{place}", max_tokens=LETTERS)))
            for place in range(size)
        ]
        while (await process.metrics())["cutaway_requests_running"] < size:
            await asyncio.sleep(0.01)
        process.popen.send_signal(signal.SIGTERM)
        await asyncio.sleep(0.3)
        try:
            late: BaseException | int = (await process.stream(question("late"))).status
        except OSError as error:
            late = error
        return list(await asyncio.gather(*asked)), late

    with (
        figures(
            "drain",
            work=f"SIGTERM while {size} streams of {LETTERS} tokens are written",
            is_full=size == 32,
        ) as told,
        serving_stub(f"max_running={size}", "step_s=0.01") as process,
    ):
        heard, late = asyncio.run(drain(process))
        whole = [
            each.is_whole and each.body == letters(f"q{place}", LETTERS)
            for place, each in enumerate(heard)
        ]
        told.exactly("streams that came to their end", sum(whole), size)
        told.exactly("the next is refused", late == 503 or isinstance(late, OSError), True)
        begun = time.monotonic()
        told.exactly("exit code", process.popen.wait(timeout=30), 0)
        told.soon("seconds after the last stream", time.monotonic() - begun, 1.0)
        with pytest.raises(ConnectionRefusedError):
            asyncio.run(ask(process.address, method="GET", path="/health"))


@pytest.mark.faults
def test_a_second_signal_ends_a_server_at_once() -> None:
    async def end(process: Process) -> None:
        asking = asyncio.create_task(process.stream(question("long", max_tokens=10_000)))
        await asyncio.sleep(0.3)
        process.popen.send_signal(signal.SIGTERM)
        await asyncio.sleep(0.5)
        assert process.popen.poll() is None
        process.popen.send_signal(signal.SIGTERM)
        await asyncio.gather(asking, return_exceptions=True)

    with serving_stub("step_s=0.01") as process:
        asyncio.run(end(process))
        begun = time.monotonic()
        process.popen.wait(timeout=20)
        assert time.monotonic() - begun < 5


@dataclass(frozen=True)
class Kills:
    """How often a server is killed, and who writes meanwhile."""

    rounds: int
    writers: int


@in_two_sizes(short=Kills(2, 4), full=Kills(20, 8))
def test_a_killed_server_has_lost_no_finished_conversation(size: Kills, run: Path) -> None:
    with figures(
        "kill",
        work=f"{size.rounds} times kill -9 while {size.writers} clients chat and keep what was "
        "said, each time at another moment",
        is_full=size.rounds == 20,
    ) as told:
        kept: dict[str, Any] = {}
        lost = 0
        for number in range(size.rounds):
            with serving(run) as process:
                lost += asyncio.run(_lost(process, kept))
                asyncio.run(
                    _write_until_killed(process, size.writers, kept, after=0.3 + number / 9)
                )
            lost += _damaged(run / "cutaway.db")
        with serving(run) as process:
            lost += asyncio.run(_lost(process, kept))
        told.told("conversations kept", len(kept), unit="")
        told.exactly("lost, changed or damaged", lost, 0)
        assert len(kept) >= size.rounds


async def _write_until_killed(
    process: Process, writers: int, kept: dict[str, Any], *, after: float
) -> None:
    """Answers and keeps conversations until the process is gone; only what was told is kept."""

    async def write(writer: int) -> None:
        for number in range(10_000):
            said = f"writer {writer} asks {number}"
            answer = (await process.stream(question(said, max_tokens=5))).body
            form = {"title": said, "messages": _messages(said, answer), "leaf": "a"}
            heard = await ask(process.address, form, path=SAVED)
            assert heard.status == 200
            whole = json.loads(heard.body)
            kept[whole["id"]] = whole

    async def kill() -> None:
        await asyncio.sleep(after)
        process.popen.kill()

    writing = [write(each) for each in range(writers)]
    for ended in await asyncio.gather(*writing, kill(), return_exceptions=True):
        if isinstance(ended, AssertionError):
            raise ended


def _messages(said: str, answer: str) -> list[dict[str, Any]]:
    question_ = {"id": "q", "parent": None, "role": "user", "content": said, "details": {}}
    answered = {"id": "a", "parent": "q", "role": "assistant", "content": answer, "details": {}}
    return [question_, answered]


async def _lost(process: Process, kept: dict[str, Any]) -> int:
    """How many conversations are not there as they were told."""
    lost = 0
    for id_, whole in kept.items():
        heard = await ask(process.address, method="GET", path=f"{SAVED}/{id_}")
        lost += heard.status != 200 or json.loads(heard.body) != whole
    return lost


def _damaged(database: Path) -> int:
    with sqlite3.connect(database) as connection:
        return int(connection.execute("PRAGMA integrity_check").fetchone() != ("ok",))
