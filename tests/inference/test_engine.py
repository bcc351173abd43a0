"""The engine: what it writes for many prompts is what the plain loop writes for each alone."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from cutaway.errors import UsageError
from cutaway.inference.engine import Engine
from cutaway.inference.generate import Completion, generate
from cutaway.inference.sampling import Greedy, MinP, Sampler, Temperature, TopK, TopP
from cutaway.models.catalog import CATALOG, build
from tests.inference.toys import LETTERS, TOY, toy

PROMPTS = [[1, 2, 3], [4], [5, 6, 7, 8, 9, 10, 11], [2, 1], [3, 3, 3], [9] * 30, [12, 1, 0, 7]]
STOPS = {5, 17, 23}


@pytest.fixture(params=sorted(TOY))
def model(request: pytest.FixtureRequest) -> Any:
    """A toy decoder."""
    return toy(request.param)


def engine_for(model: Any, **bounds: int) -> Engine:
    """An engine with the toy tokenizer."""
    return Engine(model, LETTERS, **bounds)


def alone(model: Any, *, sampler: Sampler, max_tokens: Sequence[int]) -> list[Completion]:
    """What the plain loop writes for each prompt; the seed is the prompt's place."""
    return [
        generate(
            model,
            prompt,
            sampler=sampler,
            max_tokens=limit,
            stop_ids=STOPS,
            generator=torch.Generator().manual_seed(seed),
        )
        for seed, (prompt, limit) in enumerate(zip(PROMPTS, max_tokens, strict=True))
    ]


def written(completions: Sequence[Completion]) -> list[tuple[list[int], str]]:
    """What must be equal exactly."""
    return [(completion.ids, completion.finish_reason) for completion in completions]


def test_every_decoder_of_the_catalog_is_tested() -> None:
    assert TOY.keys() == {name for name, kind in CATALOG.items() if kind.kind == "decoder"}


def test_greedy_rows_equal_the_plain_loop(model: Any) -> None:
    limits = [24, 3, 9, 24, 1, 24, 24]
    reference = alone(model, sampler=Greedy(), max_tokens=limits)
    batched = engine_for(model).generate(
        PROMPTS, sampler=Greedy(), max_tokens=limits, stop_ids=STOPS
    )
    assert written(batched) == written(reference)
    assert len({tuple(completion.ids) for completion in batched}) > 4


@pytest.mark.parametrize(
    "sampler", [Temperature(1.5), TopK(5), TopP(0.9, temperature=2.0), MinP(0.02)], ids=repr
)
def test_sampled_rows_equal_the_plain_loop_with_the_same_seed(model: Any, sampler: Sampler) -> None:
    limits = [20] * len(PROMPTS)
    reference = alone(model, sampler=sampler, max_tokens=limits)
    batched = engine_for(model).generate(
        PROMPTS, sampler=sampler, max_tokens=20, stop_ids=STOPS, seeds=range(len(PROMPTS))
    )
    assert written(batched) == written(reference)


def test_logprobs_equal_those_of_the_plain_loop(model: Any) -> None:
    limits = [20] * len(PROMPTS)
    reference = alone(model, sampler=Temperature(1.0), max_tokens=limits)
    batched = engine_for(model).generate(
        PROMPTS, sampler=Temperature(1.0), max_tokens=20, stop_ids=STOPS
    )
    for ours, theirs in zip(batched, reference, strict=True):
        assert ours.logprobs == pytest.approx(theirs.logprobs, abs=1e-5)


@pytest.mark.parametrize("max_rows", [1, 2, 3])
def test_the_size_of_the_batches_changes_no_text(model: Any, max_rows: int) -> None:
    def write(engine: Engine) -> list[Completion]:
        return engine.generate(PROMPTS, sampler=Temperature(1.0), max_tokens=20, stop_ids=STOPS)

    assert written(write(engine_for(model, max_rows=max_rows))) == written(write(engine_for(model)))


def test_batches_stay_within_the_memory_for_the_cache(model: Any) -> None:
    engine = engine_for(model)
    slot = model.new_cache(1, 1)
    room = 48 * sum(part.nbytes for part in (*slot.keys, *slot.values))
    asked: list[int] = []
    make = model.new_cache

    def watched(rows: int, length: int) -> Any:
        asked.append(rows * length)
        return make(rows, length)

    expected = engine.generate(PROMPTS, sampler=Greedy(), max_tokens=9)
    bounded = engine_for(model, cache_bytes=room)
    model.new_cache = watched
    assert written(bounded.generate(PROMPTS, sampler=Greedy(), max_tokens=9)) == written(expected)
    assert len(asked) > 1
    assert max(asked) <= 48


def test_a_stream_yields_what_generate_returns(model: Any) -> None:
    engine = engine_for(model)
    for seed, prompt in enumerate(PROMPTS):
        [expected] = engine.generate(
            [prompt], sampler=Temperature(1.0), max_tokens=20, seeds=[seed], stop_ids=STOPS
        )
        streamed = engine.stream(
            prompt, sampler=Temperature(1.0), max_tokens=20, seed=seed, stop_ids=STOPS
        )
        assert list(streamed) == expected.text_ids


def test_a_stream_leaves_the_consumer_free_to_train(model: Any) -> None:
    stream = engine_for(model).stream([1, 2], sampler=Greedy(), max_tokens=3)
    next(stream)
    assert not torch.is_inference_mode_enabled()


def test_max_tokens_does_not_change_the_text_before_it(model: Any) -> None:
    engine = engine_for(model)
    [short], [long] = (
        engine.generate([[1, 2]], sampler=Temperature(2.0), max_tokens=count, stop_ids=())
        for count in (5, 25)
    )
    assert long.ids[:5] == short.ids


def test_the_end_of_a_message_and_of_a_text_stop_unless_told_otherwise(model: Any) -> None:
    assert engine_for(model).stop_ids == {34, 39}


def test_ids_beyond_the_tokenizer_are_never_chosen() -> None:
    padded = build(TOY["llama"] | {"vocab_size": 64}, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        padded.unembedding.weight[40:] += 100.0  # type: ignore[index,union-attr]
    completions = engine_for(padded).generate(
        [[1], [2, 3]], sampler=Temperature(1.0), max_tokens=20, stop_ids=()
    )
    assert max(max(completion.ids) for completion in completions) < 40


def test_prompts_of_different_lengths_run_in_a_lower_precision(model: Any) -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = engine_for(model).generate(PROMPTS, sampler=Greedy(), max_tokens=4)
    assert all(len(completion.ids) >= 1 for completion in found)


def test_no_prompts_give_no_completions(model: Any) -> None:
    assert engine_for(model).generate([], sampler=Greedy(), max_tokens=4) == []


@pytest.mark.parametrize(
    ("prompt", "told"),
    [([], "the prompt is empty"), ([1] * 32, "has 32 tokens"), ([1, 40], "token 40"), ([-1], "-1")],
)
def test_a_prompt_that_cannot_be_read_is_told(model: Any, prompt: list[int], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        engine_for(model).generate([[1], prompt], sampler=Greedy(), max_tokens=4)
    with pytest.raises(UsageError, match=told):
        engine_for(model).stream(prompt, sampler=Greedy(), max_tokens=4)


def test_a_tokenizer_larger_than_the_model_is_refused() -> None:
    small = build(TOY["gpt"] | {"vocab_size": 39})
    with pytest.raises(UsageError, match=r"40 tokens.*39"):
        engine_for(small)


def test_a_model_in_training_trains_on_afterwards(model: Any) -> None:
    model.train()
    engine_for(model).generate([[1]], sampler=Greedy(), max_tokens=2)
    assert model.training
