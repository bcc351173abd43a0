"""Serving: requests that come and go at any moment are answered as each would be alone."""

import time
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cutaway.errors import CutawayError
from cutaway.inference.blocks import BLOCK
from cutaway.inference.engine import Engine
from cutaway.inference.request import Event, Finished, Overloaded
from cutaway.inference.sampling import Greedy, Temperature, TopK, TopP
from tests.inference.serving import LONG, alone, drain, drain_of, end, prompt_of, request, tokens
from tests.inference.toys import LETTERS, TOY, toy

SAMPLERS = (Greedy(), Temperature(1.5), TopK(5), TopP(0.9, temperature=2.0), Temperature(0.7))


@pytest.fixture(params=sorted(TOY))
def model(request: pytest.FixtureRequest) -> Any:
    """A toy decoder with a long context."""
    return toy(request.param, context_length=LONG)


@pytest.fixture(scope="module")
def llama() -> Any:
    """One toy decoder, where all are alike."""
    return toy("llama", context_length=LONG)


def test_rows_that_come_at_any_moment_equal_the_plain_loop(model: Any) -> None:
    engine = Engine(model, LETTERS, max_rows=5)
    beginning = prompt_of(40, seed=0)
    asked = [
        request(
            (beginning[: 40 * (place % 3 > 0)] + prompt_of(1 + 17 * place % 90, seed=place)),
            sampler=SAMPLERS[place % len(SAMPLERS)],
            seed=place,
            max_tokens=1 + 7 * place % 23,
            stop_ids=frozenset({3}),
        )
        for place in range(24)
    ]
    events, ids = [], []
    for place, wanted in enumerate(asked):
        ids.append(engine.submit(wanted))
        for _ in range(place % 3):
            events += engine.step()
    events += drain(engine)
    for id_, wanted in zip(ids, asked, strict=True):
        assert tokens(events, id_) == alone(model, wanted)
    assert engine.statistics().cached_tokens > 0


def test_a_long_prompt_is_read_in_pieces_between_the_steps_of_others(llama: Any) -> None:
    widths: list[int] = []
    hidden = llama.hidden
    llama.hidden = lambda read, **rest: widths.append(read.numel()) or hidden(read, **rest)
    try:
        engine = Engine(llama, LETTERS, chunk_tokens=20)
        running = engine.submit(request([1, 2], max_tokens=60))
        engine.step()
        widths.clear()
        late = request(prompt_of(100, seed=1))
        id_ = engine.submit(late)
        per_step = []
        for _ in range(8):
            before = len(tokens(events := engine.step(), running))
            per_step.append((before, sum(width for width in widths if width > 1)))
            widths.clear()
        events = drain(engine)
    finally:
        del llama.hidden
    # At most twenty of the prompt, and at the end one token for each of two rows.
    assert all(count == 1 and read <= 22 for count, read in per_step)
    assert sum(read > 0 for _, read in per_step) >= 5
    assert tokens(events, id_)[-5:] == alone(llama, late)[-5:]


def test_a_short_prompt_does_not_wait_for_a_long_one(llama: Any) -> None:
    engine = Engine(llama, LETTERS, chunk_tokens=20)
    long = engine.submit(request(prompt_of(200, seed=1)))
    short = engine.submit(request(prompt_of(5, seed=2), max_tokens=2))
    events: list[Event] = []
    for _ in range(3):
        events += engine.step()
    assert end(events, short).reason == "length"
    assert tokens(events, long) == []
    assert end(drain(engine), long).reason == "length"


def test_a_conversation_that_comes_back_is_not_read_again(model: Any) -> None:
    engine = Engine(model, LETTERS)
    first = request(prompt_of(50, seed=1), max_tokens=30)
    answer = tokens(drain_of(engine, first), 1)
    second = request([*first.prompt, *answer, *prompt_of(9, seed=2)])
    events = drain_of(engine, second)
    assert tokens(events, 2) == alone(model, second)
    # 50 + 30 tokens, the last of which nobody has read.
    assert end(events, 2).usage.cached_tokens == 79 // BLOCK * BLOCK


def test_prompts_that_come_together_read_their_beginning_once(model: Any) -> None:
    read: list[int] = []
    hidden = model.hidden
    model.hidden = lambda ids, **rest: read.append(ids.numel()) or hidden(ids, **rest)
    beginning = prompt_of(64, seed=0)
    prompts = [[*beginning, *prompt_of(5, seed=place)] for place in range(8)]
    found = Engine(model, LETTERS).generate(prompts, sampler=Greedy(), max_tokens=1)
    assert sum(read) < 68 + 7 * 8 + 64
    del model.hidden
    for completion, prompt in zip(found, prompts, strict=True):
        assert completion.ids == alone(model, request(prompt, max_tokens=1))


def test_new_weights_forget_what_the_old_ones_have_read(model: Any) -> None:
    engine = Engine(model, LETTERS)
    asked = request(prompt_of(40, seed=1))
    drain_of(engine, asked)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(0.9)
    events = drain_of(engine, asked)
    assert end(events, 2).usage.cached_tokens == 0
    assert tokens(events, 2) == alone(model, asked)


def test_more_beginnings_than_blocks_change_no_text(llama: Any) -> None:
    slot = llama.new_cache(1, 1)
    few = 7 * BLOCK * sum(part.nbytes for part in (*slot.keys, *slot.values))
    engine = Engine(llama, LETTERS, shared_bytes=few, max_rows=3)
    assert engine.statistics().blocks == 7
    asked = [request(prompt_of(20 + 7 * (seed % 5), seed=seed % 4)) for seed in range(20)]
    ids = [engine.submit(wanted) for wanted in asked]
    events = drain(engine)
    for id_, wanted in zip(ids, asked, strict=True):
        assert tokens(events, id_) == alone(llama, wanted)
    assert engine.statistics().held_blocks == 0


def test_the_queue_takes_exactly_as_many_as_run_and_wait(llama: Any) -> None:
    engine = Engine(llama, LETTERS, max_rows=4, max_waiting=6)
    taken = refused = 0
    hints: list[float] = []
    for seed in range(40):
        try:
            engine.submit(request(prompt_of(5, seed=seed)))
            taken += 1
        except Overloaded as error:
            refused += 1
            hints.append(error.retry_after_s)
    assert min(hints) >= 1.0
    assert (taken, refused) == (10, 30)
    ends = [event for event in drain(engine) if isinstance(event, Finished)]
    assert [event.reason for event in ends] == ["length"] * 10
    engine.submit(request([1]))


def test_four_thousand_cancels_leave_no_row_and_no_block_behind(llama: Any) -> None:
    engine = Engine(llama, LETTERS, max_rows=8, max_waiting=192)
    ends = 0
    for round_ in range(20):
        ids = [
            engine.submit(request(prompt_of(20, seed=place % 5), max_tokens=200))
            for place in range(200)
        ]
        for _ in range(round_ % 4):
            ends += sum(isinstance(event, Finished) for event in engine.step())
        for id_ in ids:
            engine.cancel(id_)
            engine.cancel(id_)
        statistics = engine.statistics()
        assert (statistics.running, statistics.waiting, statistics.held_blocks) == (0, 0, 0)
        for event in engine.step():
            assert isinstance(event, Finished)
            assert event.reason == "cancelled"
            ends += 1
        assert engine.is_idle
    assert ends == 4000


def test_a_request_that_is_cancelled_gets_no_further_token(model: Any) -> None:
    engine = Engine(model, LETTERS)
    gone, stays = (engine.submit(request([place + 1] * 3, max_tokens=9)) for place in range(2))
    engine.step()
    engine.cancel(gone)
    events = drain(engine)
    assert tokens(events, gone) == []
    assert end(events, gone).reason == "cancelled"
    assert len(tokens(events, stays)) == 8


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_a_deadline_ends_a_request_wherever_it_is(llama: Any, steps: int) -> None:
    engine = Engine(llama, LETTERS, max_rows=1)
    deadline = time.monotonic() + 0.2
    ids = [engine.submit(request([1, 2], max_tokens=250, deadline=deadline)) for _ in range(2)]
    events: list[Event] = []
    for _ in range(steps):
        events += engine.step()
    time.sleep(0.21)
    events += engine.step()
    assert [end(events, id_).reason for id_ in ids] == ["deadline"] * 2
    assert engine.is_idle


@given(
    actions=st.lists(
        st.tuples(st.sampled_from(["submit", "submit", "cancel", "step"]), st.integers(0, 40)),
        max_size=30,
    )
)
def test_nothing_leaks_after_any_sequence(actions: list[tuple[str, int]]) -> None:
    model = toy("speedrun", context_length=64)
    slot = model.new_cache(1, 1)
    few = 5 * BLOCK * sum(part.nbytes for part in (*slot.keys, *slot.values))
    engine = Engine(model, LETTERS, max_rows=3, max_waiting=3, shared_bytes=few)
    events: list[Event] = []
    ids: list[int] = []
    for action, number in actions:
        if action == "submit":
            asked = request(prompt_of(1 + number, seed=number % 3), max_tokens=1 + number % 6)
            try:
                ids.append(engine.submit(asked))
            except Overloaded:
                assert engine.statistics().running + engine.statistics().waiting == 6
        elif action == "cancel" and ids:
            engine.cancel(ids[number % len(ids)])
        else:
            events += engine.step()
    events += drain(engine)
    statistics, pool = engine.statistics(), engine._beginnings.pool
    assert (statistics.running, statistics.waiting, statistics.held_blocks) == (0, 0, 0)
    assert pool.free + pool.unused == pool.count == 5
    for id_ in ids:
        end(events, id_)


class Fails:
    """Raises instead of doing the n-th thing."""

    def __init__(self, does: Callable[..., Any], *, at: int) -> None:
        self._does, self._left = does, at

    def __call__(self, *given: Any, **named: Any) -> Any:
        self._left -= 1
        if self._left == 0:
            raise RuntimeError("not enough memory")
        return self._does(*given, **named)


@pytest.mark.parametrize("part", ["hidden", "forward", "new_cache", "unembed"])
@pytest.mark.parametrize("at", [1, 2])
def test_a_failure_ends_the_rows_it_concerns_and_serving_goes_on(part: str, at: int) -> None:
    model = toy("llama", context_length=LONG)
    engine = Engine(model, LETTERS, max_rows=2)
    setattr(model, part, Fails(getattr(model, part), at=at))
    ids = [engine.submit(request(prompt_of(20, seed=place))) for place in range(6)]
    events = drain(engine)
    ends = [end(events, id_) for id_ in ids]
    failed = [event for event in ends if event.reason == "error"]
    assert 1 <= len(failed) <= 2
    assert all("not enough memory" in str(event.cause) for event in failed)
    for id_, event in zip(ids, ends, strict=True):
        if event.reason != "error":
            place = ids.index(id_)
            assert tokens(events, id_) == alone(model, request(prompt_of(20, seed=place)))
    assert engine.statistics().held_blocks == 0
    assert len(tokens(drain_of(engine, request([1])), 7)) == 12


def test_a_row_without_numbers_fails_alone_and_leaves_nothing_behind(llama: Any) -> None:
    engine = Engine(llama, LETTERS, max_rows=2)
    embedding = llama.embedding.weight
    with torch.no_grad():
        before = embedding[33].clone()
        embedding[33] = torch.nan
    try:
        broken = engine.submit(request([33, 1], sampler=Temperature(1.0)))
        asked = [request(prompt, sampler=Temperature(1.0)) for prompt in ([1, 2], [3], [4, 5, 6])]
        ids = [engine.submit(one) for one in asked]
        events = drain(engine)
        assert end(events, broken).reason == "error"
        assert "not numbers" in str(end(events, broken).cause)
        assert [end(events, id_).reason for id_ in ids] == ["length"] * 3
    finally:
        with torch.no_grad():
            embedding[33] = before


class Broken(Temperature):
    """A sampler that finds no token."""

    def choose(self, logits: Any, uniforms: Any) -> Any:
        raise CutawayError("no token can be chosen")


def test_a_sampler_that_fails_ends_its_own_row_and_no_other(llama: Any) -> None:
    engine = Engine(llama, LETTERS)
    sound = request(prompt_of(9, seed=1), sampler=Temperature(0.8), seed=3)
    sound_id = engine.submit(sound)
    broken_id = engine.submit(request(prompt_of(9, seed=2), sampler=Broken()))
    events = drain(engine)
    assert end(events, broken_id).reason == "error"
    assert tokens(events, sound_id) == alone(llama, sound)


def test_an_interruption_leaves_an_engine_that_works(llama: Any) -> None:
    engine = Engine(llama, LETTERS)
    hidden = llama.hidden

    def interrupted(*given: Any, **named: Any) -> Any:
        raise KeyboardInterrupt

    engine.submit(request(prompt_of(40, seed=1)))
    llama.hidden = interrupted
    with pytest.raises(KeyboardInterrupt):
        engine.step()
    llama.hidden = hidden
    del llama.hidden
    assert engine.is_idle
    asked = request(prompt_of(40, seed=1))
    assert tokens(drain_of(engine, asked), 2) == alone(llama, asked)
