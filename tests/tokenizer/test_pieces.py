"""How text is cut before merging."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cutaway.tokenizer.pieces import GPT2_PATTERN, PATTERN, split, well_formed


@pytest.mark.parametrize("pattern", [PATTERN, GPT2_PATTERN])
@given(text=st.text(max_size=200))
@settings(max_examples=100, derandomize=True, deadline=None)
def test_the_pieces_together_are_the_text(pattern: str, text: str):
    assert "".join(split(text, pattern=pattern)) == text


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("the father's house", ["the", " father's", " house"]),
        ("'quoted'", ["'", "quoted", "'"]),
        ("in 1969", ["in", " ", "1", "9", "6", "9"]),
        ("end.\n\n  Next", ["end", ".\n\n  ", "Next"]),
        ("if x:\n    y += 1", ["if", " x", ":\n    ", "y", " +=", " ", "1"]),
        ("床前明月光，疑是地上霜。", ["床前明月光", "，", "疑是地上霜", "。"]),
        ("cafe\u0301 crème", ["cafe\u0301", " crème"]),
    ],
)
def test_words_digits_signs_and_lines_are_cut_so(text: str, pieces: list[str]):
    assert split(text, pattern=PATTERN) == pieces


def test_our_pattern_looks_neither_ahead_nor_behind():
    assert "(?=" not in PATTERN
    assert "(?!" not in PATTERN
    assert "(?<" not in PATTERN


def test_half_a_surrogate_pair_is_read_as_the_replacement_character():
    assert well_formed("a\ud800b") == "a\ufffdb"
    assert well_formed("\ud83d\ude42") == "🙂"
    assert well_formed("a🙂") == "a🙂"
