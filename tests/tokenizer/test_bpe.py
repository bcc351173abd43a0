"""The plain form against `tokenizers`, and against the paper's algorithm on tiny cases."""

from hypothesis import given, settings
from hypothesis import strategies as st

from cutaway.tokenizer import bpe, fast
from cutaway.tokenizer.vocabulary import dense_vocabulary

REPETITIVE = st.lists(st.text(alphabet="ab é", max_size=30), max_size=8)


def test_the_most_frequent_pair_is_joined_first():
    trained = bpe.train(["abab", "abab", "ab"], vocab_size=256 + 2, special=())
    assert list(trained.vocabulary.merges) == [(b"a", b"b"), (b"ab", b"ab")]


def test_no_pair_that_occurs_once_becomes_a_token():
    trained = bpe.train(["abcdef"], vocab_size=1000, special=())
    assert trained.vocab_size == 256


def test_training_gives_the_merges_of_tokenizers_on_real_text(corpus: list[str]):
    plain = bpe.train(corpus, vocab_size=1024)
    assert plain.to_json() == fast.train(corpus, vocab_size=1024).to_json()


@given(REPETITIVE)
@settings(max_examples=60, derandomize=True, deadline=None)
def test_training_gives_the_merges_of_tokenizers_where_everything_is_a_tie(texts: list[str]):
    plain = bpe.train(texts, vocab_size=320)
    assert plain.to_json() == fast.train(texts, vocab_size=320).to_json()


def test_one_letter_is_joined_from_the_left():
    joins = {(0, 0): (0, 1)}
    assert bpe.merge([0, 0, 0, 0, 0], joins) == [1, 1, 0]


def test_an_older_merge_wins_over_one_further_left():
    joins = {(1, 2): (0, 4), (0, 1): (1, 3), (3, 2): (2, 5)}
    assert bpe.merge([0, 1, 2], joins) == [0, 4]


@given(st.text(alphabet="ab", max_size=60))
@settings(max_examples=100, derandomize=True, deadline=None)
def test_merging_is_the_textbook_loop(text: str):
    merges = [(b"a", b"b"), (b"a", b"a"), (b"ab", b"ab"), (b"aa", b"aa"), (b"b", b"aa")]
    tokenizer = bpe.PlainBytePairTokenizer(dense_vocabulary(merges, pattern="[ab]+", special=()))
    expected = [bytes([byte]) for byte in text.encode()]
    for pair in merges:
        place = 0
        while place + 1 < len(expected):
            if (expected[place], expected[place + 1]) == pair:
                expected[place : place + 2] = [pair[0] + pair[1]]
            place += 1
    assert [tokenizer.token_bytes(id_) for id_ in tokenizer.encode(text)] == expected
