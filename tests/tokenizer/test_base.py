"""What holds for every tokenizer: text makes no control ids, streams give whole characters."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cutaway.tokenizer import characters
from cutaway.tokenizer.base import SPECIAL, StreamDecoder, Tokenizer
from cutaway.tokenizer.bpe import PlainBytePairTokenizer
from cutaway.tokenizer.fast import BytePairTokenizer, TokenizersEncoder

PARTS = [
    *SPECIAL,
    *(name[:4] for name in SPECIAL),
    *(name[4:] for name in SPECIAL),
    *(name.replace("|", "｜") for name in SPECIAL),
    *(name.replace("|", "\u200b|") for name in SPECIAL),
    *("<", "|", ">", "<|", "|>", " ", "\n", "Ġ", "<|end|", "|end|>", "<s>", "</s>", "[INST]"),
]
LIKE_CONTROL = st.lists(st.sampled_from(PARTS) | st.text(max_size=3), max_size=8).map("".join)


@pytest.fixture(scope="module")
def ways(tokenizer: BytePairTokenizer) -> tuple[Tokenizer | TokenizersEncoder, ...]:
    """All ways from text to ids with one vocabulary."""
    vocabulary = tokenizer.vocabulary
    return tokenizer, PlainBytePairTokenizer(vocabulary), TokenizersEncoder(vocabulary)


@given(text=LIKE_CONTROL)
@settings(max_examples=300, derandomize=True, deadline=None)
def test_no_text_can_become_a_control_id(
    tokenizer: BytePairTokenizer, ways: tuple[Tokenizer | TokenizersEncoder, ...], text: str
):
    control = set(tokenizer.special.values())
    for way in ways:
        assert not control.intersection(way.encode(text))


@given(text=LIKE_CONTROL)
@settings(max_examples=100, derandomize=True, deadline=None)
def test_no_characters_can_become_a_control_id(text: str):
    tokenizer = characters.train([text])
    assert not set(tokenizer.special.values()).intersection(tokenizer.encode(text))


def test_control_tokens_stand_at_the_end_in_their_order(tokenizer: BytePairTokenizer):
    assert list(tokenizer.special) == list(SPECIAL)
    assert list(tokenizer.special.values()) == list(range(1024 - len(SPECIAL), 1024))


def test_control_ids_are_no_text_unless_asked_for(tokenizer: BytePairTokenizer):
    ids = [tokenizer.special["<|user|>"], *tokenizer.encode("hi"), tokenizer.special["<|end|>"]]
    assert tokenizer.decode(ids) == "hi"
    assert tokenizer.decode(ids, keep_special=True) == "<|user|>hi<|end|>"
    assert tokenizer.token_bytes(ids[0]) == b""


@pytest.mark.parametrize("token_id", [-1, 1024])
def test_an_id_outside_the_vocabulary_is_named(tokenizer: BytePairTokenizer, token_id: int):
    with pytest.raises(ValueError, match=f"id {token_id} is not in the vocabulary of 1024"):
        tokenizer.decode([token_id])


@given(st.lists(st.integers(min_value=0, max_value=1023), max_size=40))
@settings(max_examples=200, derandomize=True, deadline=None)
def test_a_stream_gives_in_pieces_what_decoding_gives_at_once(
    tokenizer: BytePairTokenizer, ids: list[int]
):
    assert _streamed(tokenizer, ids) == tokenizer.decode(ids)


def test_a_stream_never_shows_half_a_character(tokenizer: BytePairTokenizer):
    stream = StreamDecoder(tokenizer)
    single_bytes = [tokenizer.vocabulary.tokens[bytes([byte])] for byte in "a🙂é".encode()]
    shown = [stream.feed(token_id) for token_id in single_bytes]
    assert shown == ["a", "", "", "", "🙂", "", "é"]
    assert stream.finish() == ""


def test_a_character_cut_off_at_the_end_of_a_stream_is_shown_as_such(tokenizer: BytePairTokenizer):
    stream = StreamDecoder(tokenizer)
    assert stream.feed(tokenizer.vocabulary.tokens[b"\xf0"]) == ""
    assert stream.finish() == "\N{REPLACEMENT CHARACTER}"


def test_the_fingerprint_changes_with_the_vocabulary(tokenizer: BytePairTokenizer):
    same = PlainBytePairTokenizer(tokenizer.vocabulary)
    assert tokenizer.fingerprint == same.fingerprint
    assert tokenizer.fingerprint != characters.train(["ab"]).fingerprint


def _streamed(tokenizer: Tokenizer, ids: list[int]) -> str:
    stream = StreamDecoder(tokenizer)
    return "".join([stream.feed(token_id) for token_id in ids] + [stream.finish()])
