"""The three ways from text to ids are one: plain Python, `tokenizers` and `tiktoken`."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cutaway.tokenizer.bpe import PlainBytePairTokenizer
from cutaway.tokenizer.fast import (
    BytePairTokenizer,
    TiktokenEncoder,
    TokenizersEncoder,
    encoder_for,
    ids_are_ranks,
)
from cutaway.tokenizer.pieces import PATTERN
from cutaway.tokenizer.vocabulary import BytePairVocabulary, dense_vocabulary

ANY_CHARACTER = st.characters(exclude_categories=())  # surrogates too, which are no characters
ANY_TEXT = st.text(alphabet=ANY_CHARACTER, max_size=200)


@pytest.fixture(scope="session")
def three(any_tokenizer: BytePairTokenizer) -> tuple[BytePairTokenizer, ...]:
    """The tokenizer that chooses, and the two others on the same vocabulary."""
    vocabulary = any_tokenizer.vocabulary
    return any_tokenizer, PlainBytePairTokenizer(vocabulary), TokenizersEncoder(vocabulary)


def test_the_fastest_library_is_used_where_it_is_exact(any_tokenizer: BytePairTokenizer):
    assert isinstance(encoder_for(any_tokenizer.vocabulary), TiktokenEncoder)


@given(text=ANY_TEXT)
@settings(max_examples=300, derandomize=True, deadline=None)
def test_the_ways_agree_on_random_unicode(three: tuple[BytePairTokenizer, ...], text: str):
    fastest, plain, exact = (way.encode(text) for way in three)
    assert fastest == plain == exact


def test_both_libraries_know_the_same_letters(three: tuple[BytePairTokenizer, ...]):
    fastest, _, exact = three
    assigned = [*range(0xD800), *range(0xE000, 0x34000), *range(0xE0000, 0xE0200), 0x10FFFF]
    text = "".join(map(chr, assigned))
    assert fastest.encode(text) == exact.encode(text)


def test_the_ways_agree_on_prose_chinese_and_code(
    three: tuple[BytePairTokenizer, ...], corpus: list[str]
):
    text = "\n\n".join(corpus)
    fastest, plain, exact = (way.encode(text) for way in three)
    assert fastest == plain == exact


@pytest.mark.parametrize("letter", ["a", "月", " ", "\n"])
def test_the_ways_agree_on_a_megabyte_of_one_letter(
    three: tuple[BytePairTokenizer, ...], letter: str
):
    text = letter * (1_000_000 // len(letter.encode()))
    fastest, plain, exact = (way.encode(text) for way in three)
    assert fastest == plain == exact


@given(text=ANY_TEXT)
@settings(max_examples=200, derandomize=True, deadline=None)
def test_decoding_gives_the_text_back(any_tokenizer: BytePairTokenizer, text: str):
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    assert any_tokenizer.decode(any_tokenizer.encode(text)) == whole


def test_a_batch_is_its_texts_one_by_one(three: tuple[BytePairTokenizer, ...], corpus: list[str]):
    for way in three:
        assert way.encode_batch(corpus) == [way.encode(text) for text in corpus]


def test_gpt2_gives_the_ids_that_it_is_known_for(gpt2: BytePairTokenizer):
    assert gpt2.encode("Hello world") == [15496, 995]
    assert gpt2.vocab_size == 50257
    assert gpt2.special == {"<|endoftext|>": 50256}


def test_a_pattern_that_nobody_compared_is_cut_by_the_exact_library():
    vocabulary = dense_vocabulary([(b"a", b"b")], pattern=r"\w+|\W+", special=())
    assert isinstance(encoder_for(vocabulary), TokenizersEncoder)


def test_merges_out_of_order_are_encoded_by_the_exact_library():
    dense = dense_vocabulary([(b"a", b"b"), (b"b", b"c")], pattern=PATTERN, special=())
    swapped = dict(dense.tokens) | {b"ab": 257, b"bc": 256}
    vocabulary = BytePairVocabulary(tokens=swapped, merges=dense.merges, pattern=PATTERN)
    assert not ids_are_ranks(vocabulary)
    fastest = BytePairTokenizer(vocabulary)
    assert fastest.encode("abc") == PlainBytePairTokenizer(vocabulary).encode("abc")
    assert [fastest.token_bytes(token) for token in fastest.encode("abc")] == [b"ab", b"c"]


def test_a_token_that_no_merge_reaches_is_encoded_by_the_exact_library():
    merges = [(b"b", b"c"), (b"a", b"b"), (b"ab", b"c")]
    vocabulary = dense_vocabulary(merges, pattern=PATTERN, special=())
    assert not ids_are_ranks(vocabulary)
    fastest = BytePairTokenizer(vocabulary)
    assert [fastest.token_bytes(token) for token in fastest.encode("abc")] == [b"a", b"bc"]


def test_whole_pieces_come_first_where_the_file_says_so():
    merges = [(b"b", b"c"), (b"a", b"b"), (b"ab", b"c")]
    dense = dense_vocabulary(merges, pattern=PATTERN, special=())
    vocabulary = BytePairVocabulary(
        tokens=dense.tokens, merges=merges, pattern=PATTERN, whole_pieces_first=True
    )
    whole = [dense.tokens[b"abc"]]
    assert BytePairTokenizer(vocabulary).encode("abc") == whole
    assert PlainBytePairTokenizer(vocabulary).encode("abc") == whole
