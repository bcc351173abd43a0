"""Many streams at once are whole, even and what each would be alone."""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

from tests.load.client import Heard, question
from tests.load.figures import figures, in_two_sizes, share
from tests.load.process import Process, serving, serving_stub
from tests.load.stub import letters

LETTERS = 64
TOKENS = 128
QUESTIONS = 16


@dataclass(frozen=True)
class Steady:
    """How long a steady load lasts, and how many streams it is."""

    streams: int
    seconds: float


@in_two_sizes(short=60, full=200)
def test_many_streams_come_whole_and_evenly(size: int) -> None:
    async def all_at_once(process: Process) -> list[Heard]:
        asked = [
            process.stream(question(f"question {place}", max_tokens=LETTERS))
            for place in range(size)
        ]
        return list(await asyncio.gather(*asked))

    with (
        figures(
            "streams of a stub",
            work=f"{size} streams at once, {LETTERS} tokens each, from a stub engine",
            is_full=size == 200,
        ) as told,
        serving_stub(f"max_running={size}") as process,
    ):
        asyncio.run(process.stream(question("warm", max_tokens=LETTERS)))
        before, begun = process.memory, time.monotonic()
        heard = asyncio.run(all_at_once(process))
        seconds = time.monotonic() - begun
        right = [letters_of(place) for place in range(size)]
        told.exactly("whole and right", sum(map(is_right, heard, right)), size)
        told.exactly("answers of 5xx", sum(each.status >= 500 for each in heard), 0)
        gaps = [gap for each in heard for gap in each.gaps]
        told.soon("99 % of gaps between two tokens", share(gaps, 0.99), 0.25)
        told.soon("all streams", seconds, 15.0)
        told.at_most("memory grew by", process.memory - before, 100, unit="MiB")


def letters_of(place: int) -> str:
    """What the stub says to a question, which it sees with its markers."""
    return letters(f"question {place}", LETTERS)


def is_right(heard: Heard, text: str) -> bool:
    """Whether an answer is whole, ended as it should, and says what it should."""
    return (heard.status, heard.is_whole, heard.reason, heard.body) == (200, True, "length", text)


@in_two_sizes(short=Steady(8, 5.0), full=Steady(32, 600.0))
def test_a_steady_load_gets_what_each_would_get_alone(size: Steady, run: Path) -> None:
    with (
        figures(
            "a steady load",
            work=f"{size.streams} streams of {TOKENS} tokens, again and again for "
            f"{size.seconds:g} s, from a Llama of 2 layers and width 64",
            is_full=size.seconds >= 600,
        ) as told,
        serving(run, f"max_running={size.streams}") as process,
    ):
        alone = asyncio.run(_one_by_one(process))
        assert len(set(alone.values())) == QUESTIONS
        heard = asyncio.run(_steady(process, size))
        wrong = [each for place, each in heard if not is_right(each, alone[place])]
        told.exactly("answers that differ from those alone", len(wrong), 0)
        told.exactly("answers of 5xx", sum(each.status >= 500 for _, each in heard), 0)
        told.told("answers", len(heard), unit="")
        told.told("tokens a second", len(heard) * TOKENS / size.seconds, unit="tokens/s")
        firsts = [each.first_token for _, each in heard if each.is_whole]
        told.soon("95 % of first tokens", share(firsts, 0.95), 1.5)
        gaps = [gap for _, each in heard for gap in each.gaps]
        told.soon("99 % of gaps between two tokens", share(gaps, 0.99), 0.25)


async def _one_by_one(process: Process) -> dict[int, str]:
    return {place: (await process.stream(_asked(place))).body for place in range(QUESTIONS)}


async def _steady(process: Process, size: Steady) -> list[tuple[int, Heard]]:
    """Every stream asks again as soon as it was answered."""
    heard: list[tuple[int, Heard]] = []
    end = time.monotonic() + size.seconds

    async def ask_again(stream: int) -> None:
        place = stream
        while time.monotonic() < end:
            place = (place + 7) % QUESTIONS
            heard.append((place, await process.stream(_asked(place))))

    await asyncio.gather(*(ask_again(stream) for stream in range(size.streams)))
    return heard


def _asked(place: int) -> dict[str, object]:
    return question(f"question {place}, and what comes of it" * (1 + place % 4), max_tokens=TOKENS)
