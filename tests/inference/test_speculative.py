"""Speculative decoding: what is written does not depend on who guesses."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from cutaway.errors import UsageError
from cutaway.inference.fast import accelerate
from cutaway.inference.generate import generate
from cutaway.inference.sampling import Greedy, Sampler, Temperature, TopK
from cutaway.inference.speculative import (
    DraftModel,
    Guess,
    Guesser,
    PromptLookup,
    accepted,
    speculate,
)
from cutaway.models.catalog import build
from tests import laws

PROMPTS = [[1, 2, 3, 1, 2], [4], [5, 6, 7, 8, 9, 5, 6]]


class Wrong:
    """Guesses the same token always."""

    def begin(self, *, vocabulary: int) -> None:
        pass

    def guess(
        self, tokens: Sequence[int], *, most: int, sampler: Sampler, uniforms: Sequence[float]
    ) -> Guess:
        return Guess(ids=[0] * min(3, most), distributions=None)


def guessers(model: Any) -> list[Guesser]:
    other = laws.toy("llama")
    return [PromptLookup(), DraftModel(other, count=3), DraftModel(model, count=2), Wrong()]


@pytest.mark.parametrize("name", laws.DECODERS)
def test_greedy_texts_are_those_of_the_plain_loop_whoever_guesses(name: str):
    model: Any = laws.toy(name)
    for guesser in guessers(model):
        for prompt in PROMPTS:
            found = speculate(
                model, prompt, guesser=guesser, sampler=Greedy(), max_tokens=14, stop_ids={3}
            ).completion
            plain = generate(model, prompt, sampler=Greedy(), max_tokens=14, stop_ids={3})
            assert (found.ids, found.finish_reason) == (plain.ids, plain.finish_reason)
            torch.testing.assert_close(
                torch.tensor(found.logprobs), torch.tensor(plain.logprobs), **laws.TOLERANCE
            )


def test_a_model_that_guesses_for_itself_is_always_right():
    model: Any = laws.toy("llama")
    found = speculate(
        model, [1, 2], guesser=DraftModel(model, count=3), sampler=Temperature(1.0), max_tokens=12
    )
    assert (found.passes, found.guessed, found.accepted) == (3, 9, 9)


def test_what_followed_the_last_time_is_guessed():
    lookup = PromptLookup(longest=2, count=4)
    guess = lookup.guess([1, 2, 3, 4, 5, 9, 1, 2], most=8, sampler=Greedy(), uniforms=[])
    assert guess.ids == [3, 4, 5, 9]


def test_nothing_is_guessed_where_the_text_repeats_nothing():
    guess = PromptLookup().guess([1, 2, 3], most=8, sampler=Greedy(), uniforms=[])
    assert guess.ids == []


@pytest.mark.parametrize("is_certain", [True, False], ids=["certain guesses", "drawn guesses"])
def test_the_first_token_has_the_distribution_that_is_wanted(is_certain: bool):
    generator = torch.Generator().manual_seed(2)
    p, q = torch.tensor([0.5, 0.2, 0.3, 0.0]), torch.tensor([0.1, 0.6, 0.2, 0.1])
    draws = 10_000
    counts = torch.zeros(4)
    for _ in range(draws):
        token = 1 if is_certain else int(torch.multinomial(q, 1, generator=generator))
        guess = Guess(ids=[token], distributions=None if is_certain else q[None])
        counts[accepted(torch.stack([p, p]), guess=guess, generator=generator)[0]] += 1
    assert counts[3] == 0
    statistic = ((counts[:3] - draws * p[:3]) ** 2 / (draws * p[:3])).sum()
    assert statistic < 13.8  # chi-squared with two degrees of freedom, one in a thousand


@pytest.mark.parametrize("guesser", ["lookup", "draft"])
def test_sampled_texts_have_the_distribution_of_the_plain_loop(guesser: str):
    model: Any = build(
        laws.DECODERS["llama"] | {"vocab_size": 3, "num_layers": 1},
        generator=torch.Generator().manual_seed(0),
    ).eval()
    sampler, generator = TopK(2, temperature=2.0), torch.Generator().manual_seed(1)
    with torch.no_grad():
        first = sampler.distribution(model(torch.tensor([[0, 1, 0]]))[:, -1])[0]
        after = [
            sampler.distribution(model(torch.tensor([[0, 1, 0, token]]))[:, -1])[0]
            for token in range(3)
        ]
    expected = torch.stack([first[token] * after[token] for token in range(3)])
    draft: Any = build(
        laws.DECODERS["llama"] | {"vocab_size": 3, "num_layers": 1},
        generator=torch.Generator().manual_seed(9),
    ).eval()
    draws, counts = 600, torch.zeros(3, 3)
    for _ in range(draws):
        found = speculate(
            model,
            [0, 1, 0],
            guesser=PromptLookup() if guesser == "lookup" else DraftModel(draft, count=2),
            sampler=sampler,
            max_tokens=2,
            generator=generator,
        )
        counts[found.completion.ids[0], found.completion.ids[1]] += 1
    seen = expected > 0
    assert counts[~seen].sum() == 0
    statistic = ((counts - draws * expected) ** 2 / (draws * expected))[seen].sum()
    assert int(seen.sum()) == 4
    assert statistic < 16.3  # chi-squared with three degrees of freedom, one in a thousand


def test_a_fast_decoder_can_be_guessed_for():
    model: Any = laws.toy("llama")
    fast = accelerate(model, weights="fp32").model
    found = speculate(
        fast, [1, 2, 3], guesser=PromptLookup(), sampler=Greedy(), max_tokens=10
    ).completion
    assert found.ids == generate(model, [1, 2, 3], sampler=Greedy(), max_tokens=10).ids


def test_a_draft_model_of_another_vocabulary_is_refused():
    model: Any = laws.toy("llama")
    other: Any = build(laws.DECODERS["llama"] | {"vocab_size": 5})
    with pytest.raises(UsageError, match="the draft model knows 5 tokens, but the model"):
        speculate(model, [1], guesser=DraftModel(other), sampler=Greedy(), max_tokens=2)


def test_the_longest_agreement_is_followed_and_of_those_the_latest():
    lookup, given = PromptLookup(longest=3, count=2), {"sampler": Greedy(), "uniforms": []}
    text = [7, 8, 9, 1, 0, 8, 9, 2, 0, 9, 3, 7, 8, 9]
    assert lookup.guess(text, most=8, **given).ids == [1, 0]  # type: ignore[arg-type]
    again = [8, 9, 1, 0, 8, 9, 2, 0, 8, 9]
    assert lookup.guess(again, most=8, **given).ids == [2, 0]  # type: ignore[arg-type]
    careful = PromptLookup(shortest=2)
    assert careful.guess([9, 1, 9], most=8, **given).ids == []  # type: ignore[arg-type]
