"""Word pieces: the plain form gives the ids of `tokenizers`, and nothing becomes a control id."""

import json

import pytest
from tokenizers import Tokenizer as Backend

from cutaway.tokenizer.library import LibraryTokenizer
from cutaway.tokenizer.wordpiece import (
    SPECIAL,
    UNKNOWN,
    PlainWordPieceTokenizer,
    longest_first,
    train,
)
from tests.tokenizer.test_library import strings

TEXTS = ["The old fox asks the new foxes: who is older?", "Newer towns, 1234 of them; ünïted 漢字"]


@pytest.fixture(scope="module", params=[True, False], ids=["lowercase", "cased"])
def both(request: pytest.FixtureRequest) -> tuple[LibraryTokenizer, PlainWordPieceTokenizer]:
    fast = train(TEXTS * 9, vocab_size=120, lowercase=request.param)
    return fast, PlainWordPieceTokenizer(json.loads(fast.to_json()))


Both = tuple[LibraryTokenizer, PlainWordPieceTokenizer]


def test_the_longest_piece_from_the_left_is_taken() -> None:
    pieces = {"un": 1, "unaff": 2, "##aff": 3, "##able": 4, "##a": 5, "##b": 6}
    assert longest_first("unaffable", pieces) == [2, 4]
    assert longest_first("unaffab", pieces) == [2, 5, 6]
    assert longest_first("unaffx", pieces) is None


def test_ten_thousand_texts_have_the_same_ids_in_both_forms(both: Both) -> None:
    fast, plain = both
    texts = [*strings(10_000), "a" * 101, "a" * 100, "Ünïted TOWNS!?", "\ufffd\u200bx", ""]
    assert plain.encode_batch(texts) == fast.encode_batch(texts)


def test_the_ids_are_those_of_the_library_alone(both: Both) -> None:
    fast, _ = both
    backend = Backend.from_str(fast.to_json())
    for text in strings(500):
        assert fast.encode(text) == backend.encode(text, add_special_tokens=False).ids


def test_the_name_of_a_control_token_stays_letters(both: Both) -> None:
    for tokenizer in both:
        control = set(tokenizer.special.values())
        assert set(tokenizer.special) == set(SPECIAL) - {UNKNOWN}
        for text in (*SPECIAL, "[CLS] a [MASK]", "x[SEP]y"):
            assert control.isdisjoint(tokenizer.encode(text))


def test_a_word_that_cannot_be_spelt_is_unknown_as_a_whole(both: Both) -> None:
    for tokenizer in both:
        ids = tokenizer.encode("fox ☃☃ fox")
        assert tokenizer.token_bytes(ids[len(ids) // 2]) == UNKNOWN.encode()
        assert ids[: len(ids) // 2] == ids[len(ids) // 2 + 1 :]


def test_words_come_back_with_the_spaces_before_them(both: Both) -> None:
    for tokenizer in both:
        assert tokenizer.decode(tokenizer.encode("the old fox")) == " the old fox"
