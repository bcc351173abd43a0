"""The queue is bounded, nobody's end is another's, and what is left frees its place."""

import dataclasses
import queue
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from fastapi.testclient import TestClient

from cutaway.inference.constraint import Constraint
from cutaway.inference.engine import Engine
from cutaway.inference.sampling import Greedy, Sampler
from cutaway.server.engine_thread import Ended, EngineThread, Event, Overloaded, Work
from cutaway.server.settings import Settings
from tests.server.conftest import LETTERS, chat


def work(engine: Engine, *, sampler: Sampler | None = None, max_tokens: int = 40) -> Work:
    prompt = tuple(LETTERS.encode("abc"))
    return Work(
        engine=engine, prompt=prompt, sampler=sampler or Greedy(), max_tokens=max_tokens, seed=0
    )


@pytest.fixture
def thread() -> Iterator[EngineThread]:
    thread = EngineThread(most_running=2, most_waiting=1)
    yield thread
    thread.close(seconds=5.0)


def collect(events: "queue.Queue[tuple[int, Event]]", count: int) -> dict[int, tuple[str, str]]:
    """The text and the reason of each answer."""
    texts, ends = dict.fromkeys(range(count), ""), {}
    while len(ends) < count:
        place, event = events.get(timeout=10)
        texts[place] += event.text
        if isinstance(event, Ended):
            ends[place] = (texts[place], event.reason)
    return ends


class Slow(Greedy):
    """Greedy, but in its own time."""

    def choose(self, logits, uniforms):
        time.sleep(0.01)
        return super().choose(logits, uniforms)


class Sleeping(Greedy):
    """Stands still for a second."""

    def choose(self, logits, uniforms):
        time.sleep(1.0)
        return super().choose(logits, uniforms)


class Failing(Greedy):
    """Chooses nothing."""

    def choose(self, logits, uniforms):
        raise RuntimeError("at 0x7f00 in /secret/place.py")


class Broken:
    """A form that cannot be followed."""

    def deep_copy(self) -> "Broken":
        return self

    def compute_bitmask(self) -> bytes:
        raise RuntimeError("at 0x7f00 in /secret/place.py")


def test_answers_of_one_batch_are_what_each_is_alone(thread: EngineThread, engine: Engine):
    events: queue.Queue[tuple[int, Event]] = queue.Queue()
    thread.submit([work(engine), work(engine, max_tokens=9)], lambda *told: events.put(told))
    thread.start()
    ends = collect(events, 2)
    for place, most in ((0, 40), (1, 9)):
        ids = engine.stream(LETTERS.encode("abc"), sampler=Greedy(), max_tokens=most)
        assert ends[place] == (LETTERS.decode(ids), "length")


def test_who_comes_when_the_queue_is_full_is_told_so_at_once(thread: EngineThread, engine: Engine):
    jobs = thread.submit([work(engine)] * 3, lambda *_: None)
    with pytest.raises(Overloaded):
        thread.submit([work(engine)], lambda *_: None)
    thread.cancel(jobs[:1])
    thread.submit([work(engine)], lambda *_: None)


def test_a_cancelled_answer_frees_its_place(thread: EngineThread, engine: Engine):
    thread.start()
    for _ in range(50):
        jobs = thread.submit([work(engine)] * 3, lambda *_: None)
        thread.cancel(jobs)
        deadline = time.monotonic() + 0.25
        while thread.running + thread.waiting:
            assert time.monotonic() < deadline
            time.sleep(0.001)


def test_an_answer_that_fails_ends_alone(thread: EngineThread, engine: Engine):
    events: queue.Queue[tuple[int, Event]] = queue.Queue()
    thread.start()
    broken = Constraint(Broken(), vocab_size=LETTERS.vocab_size)
    works = [dataclasses.replace(work(engine), constraint=broken), work(engine)]
    thread.submit(works, lambda *told: events.put(told))
    ends = collect(events, 2)
    assert [ends[place][1] for place in (0, 1)] == ["error", "length"]
    assert thread.state == "ready"


def test_closing_finishes_what_was_accepted(engine: Engine):
    events: queue.Queue[tuple[int, Event]] = queue.Queue()
    thread = EngineThread(most_running=2, most_waiting=1)
    thread.start()
    thread.submit([work(engine, sampler=Slow())] * 3, lambda *told: events.put(told))
    thread.close(seconds=20.0)
    assert {reason for _, reason in collect(events, 3).values()} == {"length"}
    with pytest.raises(Overloaded):
        thread.submit([work(engine)], lambda *_: None)


def test_a_full_server_says_when_to_come_again(client_of: Callable[..., TestClient]):
    client = client_of(Settings(most_running=1, most_waiting=1))
    told = client.post("/v1/chat/completions", json=chat(n=3))
    assert told.status_code == 429
    assert int(told.headers["retry-after"]) >= 1
    assert client.post("/v1/chat/completions", json=chat(n=2)).status_code == 200


def test_a_failure_tells_nothing_of_the_inside(client: TestClient, monkeypatch: pytest.MonkeyPatch):
    from cutaway.server import completions

    monkeypatch.setattr(completions, "_sampler", lambda _: Failing())
    whole = client.post("/v1/chat/completions", json=chat())
    assert whole.status_code == 500
    streamed = client.post("/v1/chat/completions", json=chat(stream=True))
    assert '"error"' in streamed.text
    assert streamed.text.endswith("data: [DONE]\n\n")
    for told in (whole.text, streamed.text):
        assert "0x7f" not in told
        assert "secret" not in told
        assert "RuntimeError" not in told


def test_work_that_waits_ends_at_its_deadline_though_others_are_written(
    thread: EngineThread, engine: Engine
):
    events: queue.Queue[tuple[int, Event]] = queue.Queue()
    long = [work(engine, sampler=Slow()) for _ in range(2)]
    late = dataclasses.replace(work(engine), deadline=time.monotonic() + 0.05)
    thread.submit([*long, late], lambda *told: events.put(told))
    thread.start()
    time.sleep(0.1)
    place, event = next(told for told in iter(events.get, None) if isinstance(told[1], Ended))
    assert (place, event.reason) == (2, "deadline")


def test_an_engine_that_stands_still_is_told_as_such(engine: Engine):
    goes_on = threading.Event()

    class Stalled(Greedy):
        def choose(self, logits, uniforms):
            goes_on.wait(10)
            return super().choose(logits, uniforms)

    thread = EngineThread(most_running=1, most_waiting=0, stalled_seconds=0.6)
    assert thread.state == "stopped"
    thread.start()
    time.sleep(0.7)
    assert thread.state == "ready"  # having nothing to do is no standing still
    thread.submit([work(engine, sampler=Stalled())], lambda *_: None)
    time.sleep(0.8)
    assert thread.state == "stalled"
    goes_on.set()
    thread.close(seconds=5.0)
    assert thread.state == "draining"


def test_an_answer_ends_though_the_engine_stands_still(
    client_of: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch
):
    from cutaway.server import completions, streaming

    monkeypatch.setattr(streaming, "LATE_SECONDS", 0.1)
    monkeypatch.setattr(completions, "_sampler", lambda _: Sleeping())
    client = client_of(Settings(answer_seconds=0.1))
    begun = time.monotonic()
    assert client.post("/v1/chat/completions", json=chat()).status_code == 408
    assert time.monotonic() - begun < 0.9


def test_no_log_holds_what_was_asked(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    from cutaway.server import completions

    monkeypatch.setattr(completions, "_sampler", lambda _: Failing())
    client.post("/v1/chat/completions", json=chat("my secret question"))
    monkeypatch.setattr(completions, "_works", lambda *_, **__: 1 / 0)
    assert client.post("/v1/chat/completions", json=chat("my secret question")).status_code == 500
    assert "failure" in caplog.text
    assert "secret question" not in caplog.text


def test_an_answer_ends_at_its_deadline(client_of: Callable[..., TestClient]):
    client = client_of(Settings(answer_seconds=0.0))
    told = client.post("/v1/chat/completions", json=chat())
    assert told.status_code == 408
    assert told.json()["error"]["code"] == "deadline"
