"""Serving: requests that come and go at any moment are answered as each would be alone."""

import json
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cutaway.errors import UsageError
from cutaway.inference.blocks import BLOCK
from cutaway.inference.constraint import Grammars
from cutaway.inference.engine import Engine
from cutaway.inference.generate import generate
from cutaway.inference.penalties import Penalties
from cutaway.inference.request import Event, Finished, Overloaded, Request, Token
from cutaway.inference.sampling import Greedy, Sampler, Temperature, TopK, TopP
from cutaway.tokenizer.characters import CharacterTokenizer
from tests.inference.toys import LETTERS, TOY, toy

LONG = 256
SAMPLERS = (Greedy(), Temperature(1.5), TopK(5), TopP(0.9, temperature=2.0), Temperature(0.7))


@pytest.fixture(params=sorted(TOY))
def model(request: pytest.FixtureRequest) -> Any:
    """A toy decoder with a long context."""
    return toy(request.param, context_length=LONG)


@pytest.fixture(scope="module")
def llama() -> Any:
    """One toy decoder, where all are alike."""
    return toy("llama", context_length=LONG)


def request(prompt: Sequence[int], **rest: Any) -> Request:
    """A request with a short answer that no token stops."""
    settings: dict[str, Any] = {"sampler": Greedy(), "max_tokens": 12, "stop_ids": frozenset()}
    return Request(prompt=tuple(prompt), **settings | rest)


def prompt_of(length: int, *, seed: int) -> list[int]:
    """Random letters."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(34, (length,), generator=generator).tolist()


def drain(engine: Engine) -> list[Event]:
    """Steps until nothing is left."""
    events = []
    while not engine.is_idle:
        events += engine.step()
    return events


def tokens(events: Sequence[Event], id_: int) -> list[int]:
    """What was written for a request."""
    return [event.token for event in events if isinstance(event, Token) and event.id == id_]


def end(events: Sequence[Event], id_: int) -> Finished:
    """The one end of a request, after which nothing more is told of it."""
    [*others, last] = [event for event in events if event.id == id_]
    assert isinstance(last, Finished)
    assert not any(isinstance(event, Finished) for event in others)
    return last


def alone(model: Any, asked: Request) -> list[int]:
    """What the plain loop writes."""
    return generate(
        model,
        asked.prompt,
        sampler=asked.sampler,
        max_tokens=asked.max_tokens,
        stop_ids=asked.stop_ids or (),
        generator=torch.Generator().manual_seed(asked.seed),
    ).ids


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
    assert all(count == 1 and read <= 20 for count, read in per_step)
    assert sum(read > 0 for _, read in per_step) >= 5
    assert tokens(events, id_)[-5:] == alone(llama, late)[-5:]


def test_a_short_prompt_does_not_wait_for_a_long_one(llama: Any) -> None:
    engine = Engine(llama, LETTERS, chunk_tokens=20)
    long = engine.submit(request(prompt_of(200, seed=1)))
    short = engine.submit(request(prompt_of(5, seed=2), max_tokens=2))
    events: list[Event] = []
    for _ in range(5):
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


def drain_of(engine: Engine, asked: Request) -> list[Event]:
    """All that is told of a request that is alone."""
    engine.submit(asked)
    return drain(engine)


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


def test_the_text_of_a_seed_does_not_depend_on_its_neighbours(model: Any) -> None:
    asked = request([5, 6, 7], sampler=Temperature(1.3), seed=11, max_tokens=30)
    expected = alone(model, asked)
    for others in range(1, 12, 5):
        engine = Engine(model, LETTERS)
        for place in range(others):
            engine.submit(
                request([place + 1] * (3 * place + 1), sampler=Temperature(1.0), seed=place)
            )
        id_ = engine.submit(asked)
        assert tokens(drain(engine), id_) == expected


def test_sampled_tokens_have_the_distribution_of_the_sampler(llama: Any) -> None:
    engine, count = Engine(llama, LETTERS, max_rows=256, max_waiting=10_000), 4000
    sampler = TopP(0.95, temperature=1.5)
    for seed in range(count):
        engine.submit(request([1, 2, 3], sampler=sampler, seed=seed, max_tokens=1))
    found = torch.zeros(40)
    for event in drain(engine):
        if isinstance(event, Token):
            found[event.token] += 1
    expected = count * sampler.distribution(llama(torch.tensor([[1, 2, 3]]))[:, -1])[0].detach()
    assert found[expected == 0].sum() == 0
    large = expected >= 5
    statistic = ((found - expected).square() / expected)[large].sum()
    freedom = int(large.sum()) - 1
    # Chi-squared: the mean is the degrees of freedom, the variance twice as much.
    assert statistic < freedom + 4 * (2 * freedom) ** 0.5


def test_a_stop_text_that_straddles_tokens_ends_the_answer_before_it(model: Any) -> None:
    asked = request([5, 6, 7], sampler=Temperature(1.5), seed=4, max_tokens=30)
    whole = LETTERS.decode(alone(model, asked))
    stop = whole[10:13]
    engine = Engine(model, LETTERS)
    id_ = engine.submit(
        request([5, 6, 7], sampler=Temperature(1.5), seed=4, max_tokens=30, stop=(stop,))
    )
    events = drain(engine)
    text = "".join(event.text for event in events if isinstance(event, Token))
    assert text == whole[: whole.index(stop)]
    assert end(events, id_).reason == "stop"


def test_streamed_text_is_the_decoded_text(model: Any) -> None:
    euros = CharacterTokenizer("ab€中文", special=["<|end|>"])
    engine = Engine(model, euros)
    for seed in range(5):
        asked = request([1, 2], sampler=Temperature(2.0), seed=seed, stop_ids=None)
        id_ = engine.submit(asked)
        events = drain(engine)
        text = "".join(event.text for event in events if isinstance(event, Token))
        assert text == euros.decode(tokens(events, id_))


def test_alternatives_are_told_before_and_after_the_sampler(llama: Any) -> None:
    engine, sampler = Engine(llama, LETTERS), TopK(3, temperature=0.5)
    engine.submit(request([1, 2, 3], sampler=sampler, max_tokens=1, top_logprobs=5))
    [event] = [event for event in drain(engine) if isinstance(event, Token)]
    logits = llama(torch.tensor([[1, 2, 3]]))[0, -1].detach()
    own = logits.log_softmax(dim=-1)
    after = sampler.distribution(logits[None])[0].log()
    best = own.topk(5)
    assert [other.token for other in event.alternatives] == best.indices.tolist()
    assert [other.logprob for other in event.alternatives] == pytest.approx(
        best.values.tolist(), abs=1e-4
    )
    told = [other.sampled_logprob for other in event.alternatives]
    assert told[:3] == pytest.approx(after[best.indices[:3]].tolist(), abs=1e-4)
    assert told[3:] == [None, None]
    assert event.logprob == pytest.approx(float(own[event.token]), abs=1e-4)
    assert event.sampled_logprob == pytest.approx(float(after[event.token]), abs=1e-4)


def test_penalties_bend_one_row_and_not_its_neighbour(model: Any) -> None:
    engine = Engine(model, LETTERS)
    plain = request([5, 6, 7], max_tokens=20)
    bent = request([5, 6, 7], max_tokens=20, penalties=Penalties(frequency=2.0, bias={9: -100.0}))
    forced = request([5, 6, 7], max_tokens=3, penalties=Penalties(bias={9: 100.0}))
    ids = [engine.submit(asked) for asked in (plain, bent, forced)]
    events = drain(engine)
    assert tokens(events, ids[0]) == alone(model, plain)
    assert len(set(tokens(events, ids[1]))) > len(set(tokens(events, ids[0])))
    assert 9 not in tokens(events, ids[1])
    assert tokens(events, ids[2]) == [9, 9, 9]


def test_a_form_binds_one_row_and_not_its_neighbour(model: Any) -> None:
    signs = CharacterTokenizer('{}": ,0123456789abcxyz[]', special=["<|end|>"])
    schema = {
        "type": "object",
        "properties": {"a": {"type": "integer", "minimum": 0, "maximum": 99}},
        "required": ["a"],
        "additionalProperties": False,
    }
    form = Grammars(signs).json_schema(schema)
    engine = Engine(model, signs)
    bound = engine.submit(request([1], sampler=Temperature(1.0), max_tokens=60, constraint=form))
    free = request([1], sampler=Temperature(1.0), max_tokens=9)
    id_ = engine.submit(free)
    events = drain(engine)
    text = "".join(e.text for e in events if isinstance(e, Token) and e.id == bound)
    assert json.loads(text).keys() == {"a"}
    assert end(events, bound).reason == "stop"
    assert len(tokens(events, id_)) == 9


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


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"prompt": ()}, "the prompt is empty"),
        ({"prompt": (40,)}, "token 40"),
        ({"max_tokens": 0}, "max_tokens is 0"),
        ({"seed": 2**64}, "seed is"),
        ({"top_logprobs": 21}, "top_logprobs is 21"),
        ({"stop": ("",)}, "has 0 characters"),
        ({"stop": ("a",) * 17}, "stop has 17"),
        ({"penalties": Penalties(bias={40: 1.0})}, "logit_bias names token 40"),
    ],
)
def test_a_request_that_cannot_be_answered_is_told(
    llama: Any, settings: dict[str, Any], told: str
) -> None:
    given: dict[str, Any] = {"prompt": (1,), "sampler": Greedy(), "max_tokens": 3}
    with pytest.raises(UsageError, match=told):
        Engine(llama, LETTERS).submit(Request(**given | settings))


def test_the_smallest_and_the_largest_seed_write(llama: Any) -> None:
    sampler: Sampler = Temperature(1.0)
    for seed in (-(2**63), 2**64 - 1):
        assert len(
            tokens(drain_of(Engine(llama, LETTERS), request([1], sampler=sampler, seed=seed)), 1)
        )
