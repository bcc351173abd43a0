"""A server that has worked for long holds no more than after its first minutes, and is as quick."""

import asyncio
import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from cutaway.server.models import MOST_FORMS
from tests.load.client import Heard, ask, question
from tests.load.figures import figures, in_two_sizes, share
from tests.load.inputs import as_json, changed_tree
from tests.load.process import Process, serving
from tests.load.test_generated import BODIES
from tests.stages.conftest import ALPHABET

PAGES = ("/", "/compare", "/runs", "/web/theme.js", "/metrics", "/api/runs")
LEFT, BROKEN = 0.1, 0.05
"""Shares of the requests that are left, and that are broken."""
NEW_LETTERS = 900
"""Letters of a question that fills what is kept of beginnings."""
FREE = 'cutaway_kv_cache_blocks{model="toy",state="free"}'


@dataclass(frozen=True)
class Size:
    """How long it goes on, and how many ask at once."""

    warm_seconds: float
    """Before anything is measured; 0: what is kept for the next request is not filled either."""
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


@in_two_sizes(short=Size(0.0, 12.0, 4), full=Size(120.0, 1800.0, 4))
def test_a_long_load_leaves_memory_files_and_threads_as_they_were(size: Size, run: Path) -> None:
    with (
        figures(
            "soak",
            work=f"{size.clients} clients for {size.seconds / 60:g} minutes, with pauses, after "
            f"{size.warm_seconds / 60:g} of the same and after all room for beginnings and forms "
            f"was filled; {LEFT:.0%} leave, {BROKEN:.0%} send what is broken, and pages are loaded",
            is_full=size.seconds >= 1800,
        ) as told,
        serving(run) as process,
    ):
        if size.warm_seconds:
            asyncio.run(_fill(process))
            asyncio.run(_load(process, size, seconds=size.warm_seconds))
        seen = asyncio.run(_load(process, size, seconds=size.seconds))
        told.told("requests", seen.asked, unit="")
        told.told("left in the middle", seen.left, unit="")
        told.none("answers of 5xx, cut or wrong", seen.wrong)
        if not size.warm_seconds:
            return  # too short for a slope
        told.at_most("memory grew a minute by", 60 * _slope(seen), 1.0, unit="MiB")
        told.told("memory at the end", seen.memory[-1], unit="MiB")
        told.at_most("files more or less", _spread(seen.files), 5 + size.clients, unit="")
        told.at_most("threads more or less", _spread(seen.threads), 5, unit="")
        half = seen.moments[0] + (seen.moments[-1] - seen.moments[0]) / 2
        early = share([each for when, each in seen.firsts if when <= half], 0.99)
        late = share([each for when, each in seen.firsts if when > half], 0.99)
        told.told("99 % of first tokens, first half", early, unit="s")
        told.told("99 % of first tokens, second half", late, unit="s")
        told.at_most("which is later by", 100 * (late / early - 1), 10, unit="%")


async def _fill(process: Process) -> None:
    """Asks until all that is kept for the next requests has reached its bound: a server that has
    worked for weeks is there, and until then its memory grows because it may."""
    random = Random(0)
    while (await process.metrics())[FREE]:
        new = ["".join(random.choices(ALPHABET, k=NEW_LETTERS)) for _ in range(32)]
        asked = [process.stream(question(each, max_tokens=1)) for each in new]
        assert all(each.is_whole for each in await asyncio.gather(*asked))
    for number in range(MOST_FORMS):
        schema = {"type": "object", "properties": {f"a{number}": {"type": "integer"}}}
        form = {"type": "json_schema", "json_schema": {"name": "form", "schema": schema}}
        heard = await process.stream(question("hello", max_tokens=4, response_format=form))
        assert heard.is_whole


async def _load(process: Process, size: Size, *, seconds: float) -> Seen:
    seen, end = Seen(), time.monotonic() + seconds
    wanted = (await process.stream(question("hello", max_tokens=64))).body

    async def chat(client: int) -> None:
        random = Random(f"{client} {seconds}")
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
            await asyncio.sleep(min(10.0, seconds / 10))

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


def _slope(seen: Seen) -> float:
    """By how much memory grows in a second, by least squares."""
    return statistics.linear_regression(seen.moments, seen.memory).slope


def _spread(values: list[int]) -> int:
    return max(values) - min(values)
