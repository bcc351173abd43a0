"""The figures of a tokenizer, by hand on small texts."""

from cutaway.tokenizer import characters
from cutaway.tokenizer.fast import BytePairTokenizer
from cutaway.tokenizer.report import longest_tokens, measure, visible


def test_words_stand_between_spaces_and_chinese_characters_are_words():
    tokenizer = characters.train(["one two 明月。"])
    report = measure(tokenizer, {"english": ["one two"], "chinese": ["明月", "。"]})
    english, chinese = report.texts
    assert (english.num_words, english.num_tokens, english.num_bytes) == (2, 7, 7)
    assert (chinese.num_words, chinese.num_tokens, chinese.num_bytes) == (3, 3, 9)
    assert english.tokens_per_word == 3.5
    assert chinese.bytes_per_token == 3


def test_tokens_that_no_text_needed_are_counted_without_control_tokens():
    report = measure(characters.train(["abcde"]), {"some": ["ab", "ba"]})
    assert report.num_unused == 3


def test_no_text_at_all_has_figures_too():
    (figures,) = measure(characters.train(["a"]), {"nothing": []}).texts
    assert (figures.bytes_per_token, figures.tokens_per_word) == (0, 0)


def test_the_longest_tokens_come_first(tokenizer: BytePairTokenizer):
    longest = longest_tokens(tokenizer, count=5)
    lengths = [len(token) for token in longest]
    assert lengths == sorted(lengths, reverse=True)
    assert not set(tokenizer.special).intersection(longest)


def test_what_cannot_be_seen_is_written_out(tokenizer: BytePairTokenizer):
    tokens = tokenizer.vocabulary.tokens
    shown = {b" ": "·", b"\n": "⏎", b"\t": "⇥", b"\x1b": "\\u{1b}", b"\xe6": "\\xe6", b"a": "a"}
    assert {token: visible(tokenizer, tokens[token]) for token in shown} == shown
    assert visible(tokenizer, tokenizer.special["<|user|>"]) == "<|user|>"
