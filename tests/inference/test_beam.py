"""Beam search: against every target there is, against the plain loop, and alone as in a batch."""

import itertools
from typing import Any

import pytest
import torch

from cutaway.errors import UsageError
from cutaway.inference.beam import (
    GROUP,
    BeamSearch,
    beam_search,
    best_targets,
    greatest,
    likeliest,
)
from tests import pair_laws

BEGIN, END = 7, 3
VOCABULARY = 5


@pytest.fixture(params=sorted(pair_laws.MODELS))
def model(request: pytest.FixtureRequest) -> Any:
    return pair_laws.toy(request.param)


def narrow(model: Any) -> Any:
    """Lets the model write the first few ids only, so that all targets can be counted up."""
    bias = torch.full((model.config.vocab_size,), -torch.inf)
    bias[:VOCABULARY] = 0.0
    handle = model.logits.register_forward_hook(lambda tap, given, logits: logits * 0.5 + bias)
    assert handle is not None
    return model


def all_targets(model: Any, source: list[int], search: BeamSearch) -> list[tuple[float, list[int]]]:
    """Every target of at most so many tokens with its score, best first."""
    letters = [token for token in range(VOCABULARY) if token != END]
    found = []
    memory = model.encode(torch.tensor([source]))
    for length in range(search.max_tokens):
        for ids in itertools.product(letters, repeat=length):
            tokens = torch.tensor([[BEGIN, *ids]])
            logprobs = model.decode(tokens, memory).log_softmax(dim=-1)[0]
            total = sum(float(logprobs[place, token]) for place, token in enumerate([*ids, END]))
            found.append((total / search.penalty(length + 1), list(ids)))
    return sorted(found, reverse=True)


@pytest.mark.parametrize("length_penalty", [0.0, 0.6, 1.0])
def test_a_beam_wide_enough_finds_the_best_of_all_targets(
    model: Any, length_penalty: float
) -> None:
    search = BeamSearch(beams=64, length_penalty=length_penalty, max_tokens=4, ending="sure")
    narrow(model)
    with torch.inference_mode():
        for source in ([1, 2, 3], [9], [11, 4, 4, 8, 2]):
            expected = all_targets(model, source, search)
            found = beam_search(model, [source], search=search, begin_id=BEGIN, end_id=END)[0]
            assert found[0].ids == expected[0][1]
            assert found[0].score == pytest.approx(expected[0][0], abs=1e-5)
            assert found[0].is_finished


def test_one_beam_takes_the_likeliest_token_always(model: Any) -> None:
    search = BeamSearch(beams=1, max_tokens=12)
    narrow(model)
    source = [1, 2, 3, 4]
    found = beam_search(model, [source], search=search, begin_id=BEGIN, end_id=END)[0][0]
    tokens = [BEGIN]
    while len(tokens) <= 12 and tokens[-1] != END:
        logits = model(torch.tensor([source]), torch.tensor([tokens]))
        tokens.append(int(logits[0, -1].argmax()))
    assert found.ids == [token for token in tokens[1:] if token != END]
    assert found.is_finished == (tokens[-1] == END)


def test_a_source_alone_gives_what_it_gives_in_a_batch(model: Any) -> None:
    search = BeamSearch(beams=3, max_tokens=10)
    narrow(model)
    sources = [[1, 2, 3, 9, 4], [5], [8, 8, 2], [4, 6, 1, 1, 1, 1, 2], [9, 9]]
    together = best_targets(model, sources, search=search, begin_id=BEGIN, end_id=END)
    for source, found in zip(sources, together, strict=True):
        alone = best_targets(model, [source], search=search, begin_id=BEGIN, end_id=END)[0]
        assert found.ids == alone.ids
        assert found.logprob == pytest.approx(alone.logprob, abs=1e-4)


def test_the_log_probability_is_that_of_the_target(model: Any) -> None:
    search = BeamSearch(beams=4, max_tokens=10)
    narrow(model)
    found = beam_search(model, [[1, 2, 3]], search=search, begin_id=BEGIN, end_id=END)[0]
    assert len({tuple(one.ids) for one in found}) == len(found)
    for one in found:
        read = [BEGIN, *one.ids]
        wanted = [*one.ids, END] if one.is_finished else one.ids
        with torch.inference_mode():
            logits = model(torch.tensor([[1, 2, 3]]), torch.tensor([read]))[0]
        logprobs = logits.log_softmax(dim=-1)
        total = sum(float(logprobs[place, token]) for place, token in enumerate(wanted))
        assert one.logprob == pytest.approx(total, abs=1e-4)


def test_the_length_penalty_is_that_of_equation_14() -> None:
    assert BeamSearch(length_penalty=0.0).penalty(17) == 1.0
    assert BeamSearch(length_penalty=1.0).penalty(7) == pytest.approx(2.0)


@pytest.mark.parametrize("source", [[], list(range(25))])
def test_a_source_that_cannot_be_read_is_told(source: list[int]) -> None:
    with pytest.raises(UsageError, match="this model reads 1 to 24 at once"):
        best_targets(
            pair_laws.toy("transformer"),  # type: ignore[arg-type]
            [source],
            search=BeamSearch(),
            begin_id=BEGIN,
            end_id=END,
        )


@pytest.mark.parametrize("width", [5, GROUP * 3, GROUP * 9 + 17, GROUP * 125])
def test_the_greatest_are_those_of_topk(width: int) -> None:
    numbers = torch.randn(7, width, generator=torch.Generator().manual_seed(3))
    numbers[:, ::3] = -torch.inf
    best, places = greatest(numbers, count=min(8, width // 2))
    expected = numbers.topk(min(8, width // 2), dim=1)
    assert best.equal(expected.values)
    assert places.equal(expected.indices)


def test_the_likeliest_have_their_log_probabilities() -> None:
    logits = 30 * torch.randn(5, GROUP * 20, generator=torch.Generator().manual_seed(3))
    found, tokens = likeliest(logits, count=6)
    torch.testing.assert_close(found, logits.log_softmax(dim=1).gather(1, tokens))
