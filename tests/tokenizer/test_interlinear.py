"""Text with its ids below it."""

from hypothesis import given, settings
from hypothesis import strategies as st

from cutaway.tokenizer import characters
from cutaway.tokenizer.fast import BytePairTokenizer
from cutaway.tokenizer.interlinear import interlinear, places


def test_ids_stand_below_their_tokens_and_marks_below_what_is_learned():
    tokenizer = characters.train(["ab"], special=["<|end|>"])
    lines = interlinear(tokenizer, [0, 1, 2], learned=[False, True, True], width=40)
    texts = ["".join(span.text for span in line).rstrip() for line in lines]
    assert texts == ["a b <|end|>", "0 1 2", "  = =======", ""]


def test_text_that_is_learned_from_throughout_has_no_marks():
    tokenizer = characters.train(["ab"])
    lines = list(interlinear(tokenizer, [0, 1], learned=[True, True], width=40))
    assert len(lines) == 3
    assert {span.kind for line in lines for span in line} == {"token", "id", "space"}


def test_what_is_learned_from_and_what_controls_can_be_told_apart():
    tokenizer = characters.train(["a"], special=["<|user|>", "<|end|>"])
    ids = [1, 0, 0, 2]
    first, *_ = interlinear(tokenizer, ids, learned=[False, False, True, True], width=80)
    kinds = [span.kind for span in first if span.kind != "space"]
    assert kinds == ["control", "token", "learned", "learned"]


@given(text=st.text(max_size=80), width=st.integers(min_value=20, max_value=60))
@settings(max_examples=100, derandomize=True, deadline=None)
def test_every_id_is_shown_once_and_no_line_is_too_wide(
    tokenizer: BytePairTokenizer, text: str, width: int
):
    ids = tokenizer.encode(text)
    lines = list(interlinear(tokenizer, ids, learned=[True] * len(ids), width=width))
    shown = [span.text for line in lines for span in line if span.kind == "id"]
    assert [int(text) for text in shown] == ids
    wide = [line for line in lines if len(line) > 1]
    assert all(places("".join(span.text for span in line).rstrip()) <= width for line in wide)


def test_a_chinese_character_takes_two_places_and_an_accent_none():
    assert places("明月") == 4
    assert places("e\u0301") == 1
