"""A server that has worked for long holds no more than after its first minutes, and is as quick."""

import asyncio
import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.load.client import Heard, ask, question
from tests.load.figures import figures, in_two_sizes, share
from tests.load.inputs import as_json, changed_tree
from tests.load.process import Process, serving
from tests.load.test_generated import BODIES

PAGES = ("/", "/compare", "/runs", "/web/theme.js", "/metrics", "/api/runs")
WARM = 1 / 6
"""Share of the time after which memory is watched: until then caches fill."""
LEFT, BROKEN = 0.1, 0.05
"""Shares of the requests that are left, and that are broken."""


@dataclass(frozen=True)
class Size:
    """How long it goes on, and how many ask at once."""

    seconds: float
    clients: int


@dataclass(kw_only=True)
class Seen:
    """What was measured on the way."""

    moments: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    files: list[int] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)
    firsts: list[tuple[float, float]] = field(default_factory=list)
    """When an answer was asked for, and the seconds until its first token."""
    asked: int = 0
    left: int = 0
    wrong: list[str] = field(default_factory=list)


@in_two_sizes(short=Size(12.0, 4), full=Size(1800.0, 4))
def test_a_long_load_leaves_memory_files_and_threads_as_they_were(size: Size, run: Path) -> None:
    with (
        figures(
            "soak",
            work=f"{size.clients} clients for {size.seconds / 60:g} minutes, with pauses; "
            f"{LEFT:.0%} leave, {BROKEN:.0%} send what is broken, and pages are loaded",
            is_full=size.seconds >= 1800,
        ) as told,
        serving(run) as process,
    ):
        seen = asyncio.run(_load(process, size))
        assert seen.wrong == []
        told.told("requests", seen.asked, unit="")
        told.told("left in the middle", seen.left, unit="")
        told.exactly("answers of 5xx, cut or wrong", len(seen.wrong), 0)
        if size.seconds < 60:
            return  # too short for a slope
        begin = round(WARM * len(seen.moments))
        slope = _slope(seen.moments[begin:], seen.memory[begin:])
        told.at_most("memory grew a minute by", 60 * slope, 1.0, unit="MiB")
        told.told("memory in the end", seen.memory[-1], unit="MiB")
        told.at_most("files more or less", _spread(seen.files[begin:]), 5 + size.clients, unit="")
        told.at_most("threads more or less", _spread(seen.threads[begin:]), 5, unit="")
        half = seen.moments[begin] + (seen.moments[-1] - seen.moments[begin]) / 2
        early = [each for when, each in seen.firsts if seen.moments[begin] < when <= half]
        late = [each for when, each in seen.firsts if when > half]
        told.told("99 % of first tokens, first half", share(early, 0.99), unit="s")
        told.told("99 % of first tokens, second half", share(late, 0.99), unit="s")


async def _load(process: Process, size: Size) -> Seen:
    seen, end = Seen(), time.monotonic() + size.seconds
    wanted = (await process.stream(question("hello", max_tokens=64))).body

    async def chat(client: int) -> None:
        random = Random(client)
        while time.monotonic() < end:
            await _one(process, seen, random=random, wanted=wanted)
            await asyncio.sleep(random.uniform(0.0, 0.1))

    async def look() -> None:
        while time.monotonic() < end:
            seen.moments.append(time.monotonic())
            seen.memory.append(process.memory)
            seen.files.append(process.files)
            seen.threads.append(process.threads)
            for path in PAGES:
                heard = await ask(process.address, method="GET", path=path)
                if heard.status != 200:
                    seen.wrong.append(f"{path}: {heard.status}")
            await asyncio.sleep(min(10.0, size.seconds / 10))

    await asyncio.gather(look(), *(chat(client) for client in range(size.clients)))
    return seen


async def _one(process: Process, seen: Seen, *, random: Random, wanted: str) -> None:
    seen.asked += 1
    kind = random.random()
    if kind < BROKEN:
        _, path, tree = random.choice(BODIES)
        heard = await ask(process.address, as_json(changed_tree(tree, random=random)), path=path)
        if heard.status >= 500:
            seen.wrong.append(f"{path}: {heard.status}")
    elif kind < BROKEN + LEFT:
        asked = question(f"tell me {random.random()}", max_tokens=900)
        await process.stream(asked, leave_after=random.randrange(1, 60))
        seen.left += 1
    elif kind < 0.6:
        _hear(seen, await process.stream(question("hello", max_tokens=64)), wanted)
    else:
        # Prompts that nobody has asked before: what is kept of them must make room.
        said = f"{random.random()} " * random.randrange(1, 12)
        _hear(seen, await process.stream(question(said, max_tokens=32, temperature=1)), None)


def _hear(seen: Seen, heard: Heard, wanted: str | None) -> None:
    if not heard.is_whole or wanted not in (None, heard.body):
        seen.wrong.append(f"{heard.status}, {heard.reason}: {heard.body[:80]}")
    elif len(heard.moments) > 1:
        seen.firsts.append((heard.begun, heard.first_token))


def _slope(moments: list[float], values: list[float]) -> float:
    """By how much a value grows in a second, by least squares."""
    return statistics.linear_regression(moments, values).slope


def _spread(values: list[int]) -> int:
    return max(values) - min(values)
