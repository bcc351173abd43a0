"""Whoever leaves, at whatever moment, leaves nothing behind."""

import asyncio
import itertools
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.load.client import CHAT, MOST_SECONDS, Address, ask, question, written
from tests.load.figures import figures, in_two_sizes
from tests.load.process import Process, serving

BUSY = ("cutaway_requests_running", "cutaway_requests_waiting")
ALLOWED_S = 0.25
"""Seconds in which all must be gone; a busy machine is given more, by a test that is no measure."""


@dataclass(frozen=True)
class Size:
    """How many leave, and how often."""

    clients: int
    rounds: int


async def _until_nothing_is_held(process: Process) -> float:
    """Seconds until no answer, and no block of keys and values, is held any more."""
    begun = time.monotonic()
    while True:
        metrics = await process.metrics()
        held = [metrics[name] for name in BUSY]
        held += [value for name, value in metrics.items() if 'state="held"' in name]
        if not any(held):
            return time.monotonic() - begun
        assert time.monotonic() - begun < 20, held
        await asyncio.sleep(0.01)


@in_two_sizes(short=Size(40, 2), full=Size(200, 20))
def test_answers_that_are_left_leave_no_place_and_no_block_behind(size: Size, run: Path) -> None:
    with (
        figures(
            "leaving",
            work=f"{size.rounds} times {size.clients} requests of 900 tokens, 8 of them answered "
            "at once, all left at one moment half a second after the last was accepted",
            is_full=size.rounds == 20,
        ) as told,
        serving(run, "max_waiting=256") as process,
    ):
        idle = asyncio.run(process.stream(question("hello", max_tokens=4)))
        waits = [asyncio.run(_round(process, size.clients)) for _ in range(size.rounds)]
        left = asyncio.run(process.metrics())['cutaway_answers_total{reason="left"}']
        told.exactly("answers left", left, size.clients * size.rounds)
        told.soon("longest until nothing was held", max(waits), ALLOWED_S)
        after = asyncio.run(process.stream(question("hello", max_tokens=4)))
        told.exactly("the next answer is as before", after.body == idle.body, True)
        told.soon("its first token", after.first_token, max(0.25, 2 * idle.first_token))


async def _round(process: Process, clients: int) -> float:
    """Everybody asks and is accepted; half a second later, at one moment, nobody is there."""
    accepted = asyncio.Barrier(clients)

    async def ask_and_leave(place: int) -> None:
        asked = question(f"tell me all about {place}", max_tokens=900)
        reader, writer = await asyncio.open_connection(*process.address)
        writer.write(written("POST", CHAT, {"model": process.model, **asked}, {}))
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        await accepted.wait()
        await asyncio.sleep(0.5)
        writer.transport.abort()

    async with asyncio.timeout(MOST_SECONDS):
        await asyncio.gather(*(ask_and_leave(place) for place in range(clients)))
    return await _until_nothing_is_held(process)


PHASES = [
    *[("cut", part) for part in (0.0, 0.1, 0.5, 0.9, 0.99)],
    *[("sent", wait) for wait in (0.0, 0.001, 0.01, 0.05)],
    *[("heard", chunks) for chunks in range(24)],
]


@pytest.mark.faults
def test_a_client_may_leave_at_any_moment(run: Path) -> None:
    async def leave_everywhere(process: Process) -> None:
        for (phase, value), stream in itertools.product(PHASES, (True, False)):
            asked = {**question("hello", max_tokens=20, n=2), "model": process.model}
            asked["stream"] = stream
            if phase == "heard":
                await ask(process.address, asked, leave_after=int(value))
            else:
                data = written("POST", CHAT, asked, {})
                part = value if phase == "cut" else 1.0
                wait = value if phase == "sent" else 0.0
                await _send_and_leave(process.address, data[: int(part * len(data))], wait)
        await _until_nothing_is_held(process)
        assert (await process.stream(question("hello", max_tokens=4))).is_whole

    with serving(run) as process:
        asyncio.run(leave_everywhere(process))
        metrics = asyncio.run(process.metrics())
    assert not [name for name in metrics if 'status="5' in name]


async def _send_and_leave(address: Address, data: bytes, wait: float) -> None:
    _, writer = await asyncio.open_connection(*address)
    writer.write(data)
    await asyncio.sleep(wait)
    writer.transport.abort()
