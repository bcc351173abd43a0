"""Who comes when there is no room is told so at once; who was accepted notices nothing."""

import asyncio
from dataclasses import dataclass

import pytest

from tests.load.client import Heard, question
from tests.load.figures import figures, in_two_sizes, share
from tests.load.process import Process, serving_stub
from tests.load.stub import letters

LETTERS = 100
TIMES = 4
"""How many times more is asked for than there is room."""


@dataclass(frozen=True)
class Room:
    """Answers that are written at once, and those that may wait."""

    running: int
    waiting: int

    @property
    def whole(self) -> int:
        """All that are accepted."""
        return self.running + self.waiting


@in_two_sizes(short=Room(2, 4), full=Room(8, 64))
def test_an_overload_is_accepted_as_far_as_there_is_room(size: Room) -> None:
    words = (f"max_running={size.running}", f"max_waiting={size.waiting}", "step_s=0.02")
    with (
        figures(
            "overload",
            work=f"{TIMES} times {size.whole} requests in one burst, where {size.running} are "
            f"answered and {size.waiting} may wait",
            is_full=size.whole == 72,
        ) as told,
        serving_stub(*words) as process,
    ):
        heard = asyncio.run(_burst(process, TIMES * size.whole))
        accepted = [each for each in heard if each[1].status == 200]
        refused = [each for _, each in heard if each.status != 200]
        told.exactly("accepted", len(accepted), size.whole)
        exact = sum(each.body == letters(asked, LETTERS) for asked, each in accepted)
        told.exactly("accepted, whole and right", exact, size.whole)
        told.exactly("refused by 429", sum(each.status == 429 for each in refused), 3 * size.whole)
        when = sum(each.headers.get("retry-after", "").isdigit() for each in refused)
        told.exactly("refused with Retry-After", when, 3 * size.whole)
        told.soon("95 % of refusals", share([each.first for each in refused], 0.95), 0.1)
        told.told("the last refusal", max(each.first for each in refused), unit="s")
        metrics = asyncio.run(process.metrics())
        told.exactly("rejected, by /metrics", metrics["cutaway_rejected_total"], 3 * size.whole)
        # Then there is room again.
        after = asyncio.run(process.stream(question("after", max_tokens=3)))
        told.exactly("status of the next request", after.status, 200)


async def _burst(process: Process, count: int) -> list[tuple[str, Heard]]:
    """All at once; the questions differ."""
    asked = [f"question {place}" for place in range(count)]
    heard = await asyncio.gather(
        *(process.stream(question(each, max_tokens=LETTERS)) for each in asked)
    )
    return list(zip(asked, heard, strict=True))


@pytest.mark.faults
def test_an_engine_that_stands_still_makes_the_server_unready_and_no_more() -> None:
    async def look(process: Process) -> list[tuple[int, str]]:
        # A seed of 13 makes a step of the stub take seven seconds.
        stuck = asyncio.create_task(process.stream(question("stuck", max_tokens=1, seed=13)))
        await asyncio.sleep(6.0)
        told = []
        for path in ("/health", "/ready"):
            heard = await process.stream({}, method="GET", path=path)
            assert heard.first < 0.5
            told.append((heard.status, heard.body))
        assert (await stuck).is_whole
        heard = await process.stream({}, method="GET", path="/ready")
        return [*told, (heard.status, heard.body)]

    with serving_stub("stall_s=7") as process:
        told = asyncio.run(look(process))
    assert told == [
        (200, '{"status":"ok"}'),
        (503, '{"status":"stalled"}'),
        (200, '{"status":"ready"}'),
    ]
