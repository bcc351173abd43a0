"""Each byte is scored once, whatever the windows and batches."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cutaway.errors import DataError, UsageError
from cutaway.evaluation.likelihood import (
    likelihood,
    loss_by_position,
    score_texts,
    token_losses,
    windows,
)
from cutaway.tokenizer.characters import CharacterTokenizer

LONG = "the quick brown fox jumps over the lazy dog, and the dog does not care."


@given(st.integers(0, 200), st.integers(1, 32), st.data())
def test_windows_score_every_prediction_exactly_once(length, context_length, data):
    stride = data.draw(st.integers(1, context_length))
    scored = [
        place
        for window in windows(length, context_length=context_length, stride=stride)
        for place in range(window.scored_from, window.stop)
    ]
    assert scored == list(range(length))


@given(st.integers(1, 200), st.integers(2, 32))
def test_half_a_window_of_context_stands_before_every_token_that_has_so_much(length, context):
    for window in windows(length, context_length=context, stride=context // 2):
        assert window.stop - window.start <= context
        for place in range(window.scored_from, window.stop):
            assert place - window.start >= min(place, context - context // 2)


def test_a_short_text_costs_what_one_forward_pass_says(tokenizer, model):
    [losses] = score_texts(model, ["a fox"], tokenizer=tokenizer)
    ids = [tokenizer.special["<|endoftext|>"], *tokenizer.encode("a fox")]
    with torch.inference_mode():
        logprobs = model(torch.tensor([ids[:-1]]))[0].log_softmax(dim=-1)
    expected = [-float(logprobs[place, token]) for place, token in enumerate(ids[1:])]
    np.testing.assert_allclose(losses.nats, expected, rtol=1e-5)
    assert losses.contexts.tolist() == [1, 2, 3, 4, 5]
    assert losses.num_bytes == 5


def test_a_long_text_costs_what_its_windows_cost_one_by_one(tokenizer, model):
    ids = [tokenizer.special["<|endoftext|>"], *tokenizer.encode(LONG)]
    [(nats, contexts)] = token_losses(model, [ids], stride=5)
    for place, (loss, context) in enumerate(zip(nats, contexts, strict=True)):
        seen = torch.tensor([ids[place + 1 - context : place + 1]])
        with torch.inference_mode():
            logprobs = model(seen)[0, -1].log_softmax(dim=-1)
        assert loss == pytest.approx(-float(logprobs[ids[place + 1]]), rel=1e-4)


def test_neighbours_in_a_batch_change_nothing(tokenizer, model):
    texts = ["a", LONG, "two words", LONG[:33]]
    together = score_texts(model, texts, tokenizer=tokenizer)
    alone = [score_texts(model, [text], tokenizer=tokenizer)[0] for text in texts]
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_allclose(one.nats, other.nats, rtol=1e-4)


def test_the_size_of_a_batch_changes_nothing(tokenizer, model):
    sequences = [tokenizer.encode(text) for text in (LONG, "short", LONG[7:40])]
    for small, large in zip(
        token_losses(model, sequences, batch_tokens=1), token_losses(model, sequences), strict=True
    ):
        np.testing.assert_allclose(small[0], large[0], rtol=1e-4)


def test_a_model_that_knows_nothing_pays_the_logarithm_of_its_vocabulary(tokenizer, uniform_model):
    result = likelihood(uniform_model, [LONG] * 3, tokenizer=tokenizer)
    assert result.bits_per_byte.value == pytest.approx(math.log2(tokenizer.vocab_size), rel=1e-6)
    assert result.perplexity_per_token == pytest.approx(tokenizer.vocab_size, rel=1e-6)
    assert result.num_tokens == result.num_bytes == 3 * len(LONG)


def test_every_unit_has_the_same_interval(tokenizer, uniform_model):
    found = likelihood(uniform_model, [LONG, "abcd abcd"], tokenizer=tokenizer)
    bits, nats = found.bits_per_byte, found.nats_per_token
    assert nats.value == pytest.approx(bits.value * math.log(2), rel=1e-6)
    assert nats.low / nats.value == pytest.approx(bits.low / bits.value)
    assert nats.high / nats.value == pytest.approx(bits.high / bits.value)


def test_bits_per_byte_count_bytes_and_not_characters(uniform_model):
    accents = CharacterTokenizer("é")
    result = likelihood(uniform_model, ["é" * 10], tokenizer=accents)
    expected = math.log2(uniform_model.config.vocab_size) / 2
    assert (result.num_tokens, result.num_bytes) == (10, 20)
    assert result.bits_per_byte.value == pytest.approx(expected)


def test_a_word_costs_as_much_as_its_tokens(tokenizer, uniform_model):
    result = likelihood(uniform_model, ["abcd abcd"], tokenizer=tokenizer)
    assert math.log(result.perplexity_per_word) == pytest.approx(
        9 / 2 * math.log(result.perplexity_per_token)
    )


def test_the_interval_holds_the_value_with_many_documents_and_with_one(tokenizer, model):
    many = likelihood(model, [LONG[start:] for start in range(30)], tokenizer=tokenizer)
    one = likelihood(model, [LONG * 20], tokenizer=tokenizer)
    for interval in (many.bits_per_byte, one.bits_per_byte):
        assert interval.low < interval.value < interval.high


def test_loss_by_position_parts_tokens_by_what_they_were_predicted_from(tokenizer, uniform_model):
    losses = score_texts(uniform_model, [LONG], tokenizer=tokenizer)
    buckets = loss_by_position(losses, edges=[4, 8, 17, 99])
    assert [edge for edge, _ in buckets] == [4, 8, 17]
    assert all(loss.value == pytest.approx(math.log(tokenizer.vocab_size)) for _, loss in buckets)


def test_dropout_is_off_while_scoring_and_the_mode_comes_back(tokenizer, model):
    model.train()
    score_texts(model, ["a fox"], tokenizer=tokenizer)
    assert model.training


def test_nothing_to_score_is_an_error(tokenizer, model):
    with pytest.raises(DataError, match="no text to score"):
        likelihood(model, ["", ""], tokenizer=tokenizer)


def test_a_stride_beyond_the_context_is_an_error(model):
    with pytest.raises(UsageError, match="stride of 17 tokens leaves gaps; use 1 to 16"):
        token_losses(model, [[1, 2, 3]], stride=17)
