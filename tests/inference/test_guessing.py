"""Guesses in the engine: the same texts, only sooner."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch

from cutaway.errors import UsageError
from cutaway.inference.engine import Engine
from cutaway.inference.fast import accelerate
from cutaway.inference.guessing import MakeGuesser
from cutaway.inference.penalties import Penalties
from cutaway.inference.request import Token
from cutaway.inference.sampling import Greedy, MinP, Sampler, Temperature, TopK, TopP
from cutaway.inference.speculative import DraftModel, Guess, PromptLookup
from tests.inference import serving
from tests.inference.toys import LETTERS, TOY, toy

SAMPLERS = [Greedy(), Temperature(0.7), TopK(3), TopP(0.8), MinP(0.1)]


class Wrong:
    """Guesses the same token always."""

    def begin(self, *, vocabulary: int) -> None:
        pass

    def guess(
        self, tokens: Sequence[int], *, most: int, sampler: Sampler, uniforms: Sequence[float]
    ) -> Guess:
        return Guess(ids=[0] * min(3, most), distributions=None)


class Failing(Wrong):
    """Guesses nothing, with an error."""

    def guess(self, *_: Any, **__: Any) -> Guess:
        raise RuntimeError("out of memory")


def guessers(model: Any) -> dict[str, MakeGuesser]:
    other = toy("llama", context_length=serving.LONG)
    return {
        "lookup": PromptLookup,
        "draft": lambda: DraftModel(other, count=3),
        "itself": lambda: DraftModel(model, count=5),
        "wrong": Wrong,
    }


def texts(engine: Engine, count: int = 4) -> list[list[int]]:
    """What requests of all samplers get, served together."""
    ids = [
        engine.submit(
            serving.request(
                serving.prompt_of(5 + 9 * place, seed=place),
                sampler=SAMPLERS[place % len(SAMPLERS)],
                max_tokens=20 + place,
                seed=place,
                penalties=Penalties(frequency=0.2 * (place % 2)),
            )
        )
        for place in range(count)
    ]
    events = serving.drain(engine)
    return [serving.tokens(events, id_) for id_ in ids]


@pytest.mark.parametrize("guesser", ["lookup", "draft", "itself", "wrong"])
@pytest.mark.parametrize("name", TOY)
def test_every_text_is_the_one_without_guesses(name: str, guesser: str):
    model = toy(name, context_length=serving.LONG)
    plain = Engine(model, LETTERS)
    guessing = Engine(model, LETTERS, guesser=guessers(model)[guesser])
    for count in (1, 5):
        assert texts(guessing, count) == texts(plain, count)
    told = guessing.statistics()
    assert told.accepted_tokens <= told.guessed_tokens
    assert told.guessed_tokens > 0


@pytest.mark.parametrize("name", TOY)
def test_a_greedy_text_is_that_of_the_plain_loop(name: str):
    model = toy(name, context_length=serving.LONG)
    engine = Engine(model, LETTERS, guesser=lambda: DraftModel(model, count=4))
    asked = serving.request([1, 2, 3, 1, 2], max_tokens=30)
    assert serving.tokens(serving.drain_of(engine, asked), 1) == serving.alone(model, asked)
    (found,) = engine.generate([asked.prompt], sampler=Greedy(), max_tokens=30, stop_ids=())
    assert found.ids == serving.alone(model, asked)


def test_whoever_guesses_for_itself_is_always_right():
    model = toy("llama", context_length=serving.LONG)
    engine = Engine(model, LETTERS, guesser=lambda: DraftModel(model, count=3))
    steps: list[int] = []
    engine.submit(serving.request([1, 2, 3], sampler=Temperature(1.0), max_tokens=12))
    while not engine.is_idle:
        steps.append(sum(isinstance(event, Token) for event in engine.step()))
    assert [count for count in steps if count] == [4, 4, 4]
    told = engine.statistics()
    assert (told.guessed_tokens, told.accepted_tokens) == (9, 9)


def test_guesses_end_where_many_are_written():
    model = toy("llama", context_length=serving.LONG)
    engine = Engine(model, LETTERS, guesser=Wrong)
    texts(engine, 16)
    told = engine.statistics()
    plain = Engine(model, LETTERS, guesser=Wrong)
    texts(plain, 1)
    assert told.guessed_tokens < 16 * plain.statistics().guessed_tokens


@pytest.mark.parametrize("make", [PromptLookup, Wrong])
def test_sampled_texts_have_the_distribution_of_the_model(make: Callable[[], Any]):
    model = toy("llama", vocab_size=40)
    sampler = TopK(2, temperature=2.0)
    prompt = [0, 1, 0]
    expected: dict[tuple[int, int], float] = {}
    with torch.no_grad():
        first = sampler.distribution(model(torch.tensor([prompt]))[:, -1, :34])[0]
        for token in first.nonzero().flatten().tolist():
            after = sampler.distribution(model(torch.tensor([[*prompt, token]]))[:, -1, :34])[0]
            for other in after.nonzero().flatten().tolist():
                expected[token, other] = float(first[token] * after[other])
    engine = Engine(model, LETTERS, guesser=make, max_rows=4)
    draws = 600
    found = engine.generate([prompt] * draws, sampler=sampler, max_tokens=2, stop_ids=())
    seen = [tuple(each.ids) for each in found]
    assert set(seen) <= expected.keys()
    statistic = sum(
        (seen.count(pair) - draws * share) ** 2 / (draws * share)  # type: ignore[arg-type]
        for pair, share in expected.items()
    )
    assert len(expected) == 4
    assert statistic < 16.3  # chi-squared with three degrees of freedom, one in a thousand


def test_what_was_guessed_wrongly_leaves_no_trace_in_what_is_kept():
    model = toy("llama", context_length=serving.LONG)
    engine = Engine(model, LETTERS, guesser=Wrong)
    asked = serving.request(serving.prompt_of(20, seed=1), max_tokens=40)
    events = serving.drain_of(engine, asked)
    more = serving.request([*asked.prompt, *serving.tokens(events, 1), 4], max_tokens=30)
    again = serving.drain_of(engine, more)
    assert serving.end(again, 2).usage.cached_tokens > len(asked.prompt)
    assert serving.tokens(again, 2) == serving.alone(model, more)


def test_a_stop_within_the_guesses_ends_the_text_there():
    model = toy("llama", context_length=serving.LONG)
    written = serving.alone(model, serving.request([1, 2], max_tokens=20))
    stop = written[6]
    asked = serving.request([1, 2], max_tokens=20, stop_ids=frozenset({stop}))
    engine = Engine(model, LETTERS, guesser=lambda: DraftModel(model, count=8))
    events = serving.drain_of(engine, asked)
    assert serving.tokens(events, 1) == written[: written.index(stop) + 1]
    assert serving.end(events, 1).reason == "stop"


def test_a_fast_decoder_is_guessed_for_as_well():
    model = toy("llama", context_length=serving.LONG)
    fast = accelerate(model, weights="fp32").model
    guessing = Engine(fast, LETTERS, guesser=lambda: DraftModel(model, count=4))
    assert texts(guessing) == texts(Engine(fast, LETTERS))


def test_a_guesser_that_fails_ends_the_answer_with_its_error():
    engine = Engine(toy("llama"), LETTERS, guesser=Failing)
    events = serving.drain_of(engine, serving.request([1, 2]))
    assert serving.end(events, 1).reason == "error"
    assert engine.is_idle


def test_a_draft_model_of_another_vocabulary_is_refused_at_once():
    other = toy("llama", vocab_size=12)
    with pytest.raises(UsageError, match="the draft model knows 12 tokens"):
        Engine(toy("llama"), LETTERS, guesser=lambda: DraftModel(other))
