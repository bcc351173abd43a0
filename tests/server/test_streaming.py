"""What waits for a client that does not take it has a bound, and nothing of an answer stays."""

import asyncio
import gc
import weakref

import pytest

from cutaway.inference.engine import Engine
from cutaway.inference.sampling import Greedy
from cutaway.server import streaming
from cutaway.server.engine_thread import Ended, EngineThread, Piece, Probability, Work
from cutaway.server.streaming import Answers

RIVALS = (Probability(token=1, logprob=-1.0, sampled_logprob=None),) * 9


def work(engine: Engine) -> Work:
    return Work(engine=engine, prompt=(1, 2), sampler=Greedy(), max_tokens=9, seed=0)


@pytest.mark.parametrize("is_taken", [True, False])
def test_an_answer_that_nobody_takes_is_given_up_and_forgotten(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, is_taken: bool
):
    monkeypatch.setattr(streaming, "MOST_UNTOLD", 100)
    monkeypatch.setattr(streaming, "UNTAKEN_SECONDS", 0.0)

    async def tell(thread: EngineThread) -> tuple[list[object], int]:
        answers = Answers(thread, [work(engine), work(engine)])
        answers.untaken_since = None if is_taken else 1.0
        for job in answers._jobs:
            for _ in range(11):
                job.tell(Piece(text="x", rivals=RIVALS))
        await asyncio.sleep(0.01)
        heard = []
        while answers.open and (told := await answers.next(seconds=0.05)):
            heard.append(told)
        return heard, thread.waiting

    heard, waiting = asyncio.run(tell(EngineThread(most_running=2, most_waiting=0)))
    ends = [(place, Ended(reason="deadline")) for place in (0, 1)]
    if is_taken:
        assert len(heard) == 22
        assert waiting == 2
    else:
        assert heard == ends
        assert waiting == 0


def test_an_answer_that_is_left_is_freed_at_once(engine: Engine):
    async def begin_and_leave() -> "weakref.ref[Answers]":
        answers = Answers(EngineThread(most_running=2, most_waiting=0), [work(engine)])
        answers.leave()
        return weakref.ref(answers)

    gc.disable()  # what counts references must be enough
    try:
        assert asyncio.run(begin_and_leave())() is None
    finally:
        gc.enable()
