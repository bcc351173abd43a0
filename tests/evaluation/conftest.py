"""Tiny models and a tokenizer of characters, for the tests of evaluation."""

import pytest
import torch

from cutaway.models.llama import Llama, LlamaConfig
from cutaway.tokenizer.base import SPECIAL
from cutaway.tokenizer.characters import CharacterTokenizer

ALPHABET = "\nabcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .,:;!?+-='[]"


@pytest.fixture(scope="session")
def tokenizer() -> CharacterTokenizer:
    """Knows the letters of the tests."""
    return CharacterTokenizer(ALPHABET)


@pytest.fixture
def model() -> Llama:
    """Reads 16 tokens; its random weights are so large that it has opinions."""
    return random_model(context_length=16)


@pytest.fixture
def long_model() -> Llama:
    """Reads 64 tokens."""
    return random_model(context_length=64)


@pytest.fixture
def uniform_model() -> Llama:
    """Finds every token equally probable."""
    made = random_model(context_length=16)
    with torch.no_grad():
        made.unembedding.weight.zero_()
    return made


def random_model(*, context_length: int) -> Llama:
    config = LlamaConfig(
        vocab_size=len(ALPHABET) + len(SPECIAL),
        context_length=context_length,
        width=16,
        num_layers=2,
        num_heads=2,
        num_key_value_heads=1,
        hidden_width=24,
    )
    made = Llama(config, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(4)
    return made
