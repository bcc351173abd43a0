"""The n-gram model is a probability distribution, and a better one the more it may look back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cutaway.evaluation.ngram import BytePredictor

TEXT = (
    b"in the beginning was the word, and the word was with the reader, and the reader was glad. "
    * 4
)


@settings(max_examples=8)
@given(st.binary(max_size=60), st.binary(max_size=8), st.integers(1, 6))
def test_the_probabilities_of_all_next_bytes_sum_to_one(training, context, order):
    if not training:
        return
    model = BytePredictor(training, order=order)
    chances = [model.probabilities(context + bytes([byte]))[-1] for byte in range(256)]
    assert sum(chances) == pytest.approx(1.0)
    assert min(chances) > 0


def test_a_longer_memory_predicts_structured_text_better():
    bits = [BytePredictor(TEXT, order=order).bits_per_byte(TEXT[5:80]) for order in (1, 2, 3, 5)]
    assert bits == sorted(bits, reverse=True)
    assert bits[-1] < 1 < bits[0]


def test_random_bytes_cost_eight_bits():
    noise = np.random.default_rng(0).bytes(40_000)
    bits = BytePredictor(noise[:20_000], order=5).bits_per_byte(noise[20_000:])
    assert 8 < bits < 8.2


def test_a_byte_never_seen_is_possible():
    assert BytePredictor(b"aaaa", order=3).probabilities(b"aaz")[-1] > 0


@pytest.mark.parametrize("order", [0, 9])
def test_an_order_that_does_not_fit_a_number_is_refused(order):
    with pytest.raises(ValueError, match="1 to 8 bytes"):
        BytePredictor(b"abc", order=order)
