"""Labelled texts as batches: nothing lost, read at the right place, cut where that is asked for."""

from typing import Any

import pytest

from cutaway.data.labelled import PackedTexts, readable
from cutaway.errors import DataError
from cutaway.text.labelled import LabelledText
from cutaway.tokenizer import wordpiece
from cutaway.tokenizer.characters import CharacterTokenizer

LETTERS = CharacterTokenizer("abcdefgh ")
PIECES = wordpiece.train(["a b c d e f g h"] * 3, vocab_size=40)


def labelled(text: str, second: str = "", *, place: str = "") -> LabelledText:
    return LabelledText(text=text, second=second, label="x", key=text, place=place)


def written(texts: list[LabelledText], **changes: Any) -> Any:
    given: dict[str, Any] = {"reads": "first", "context_length": 16, "too_long": "error"}
    return readable(texts, PIECES, **(given | changes))


def test_an_encoder_reads_markers_and_both_texts() -> None:
    first, last = PIECES.special["[CLS]"], PIECES.special["[SEP]"]
    a, b = PIECES.encode("a b"), PIECES.encode("c")
    one, two = written([labelled("a b"), labelled("a b", "c")])
    assert one.ids == (first, *a, last)
    assert (one.place, one.second_begins) == (0, 4)
    assert two.ids == (first, *a, last, *b, last)
    assert two.ids[two.second_begins :] == (*b, last)


def test_a_decoder_is_read_at_the_last_token() -> None:
    begin = LETTERS.begin_id
    one, two = readable(
        [labelled("ab"), labelled("ab", "c")],
        LETTERS,
        reads="last",
        context_length=16,
        too_long="error",
    )
    assert one.ids == (begin, *LETTERS.encode("ab"))
    assert two.ids == (begin, *LETTERS.encode("ab"), begin, *LETTERS.encode("c"))
    assert (one.place, two.place) == (2, 4)


def test_a_text_longer_than_the_model_is_told_with_its_line_or_cut() -> None:
    texts = [labelled("a"), labelled("a b c d e f g h", "a b", place="rows.csv:3")]
    with pytest.raises(DataError, match=r"rows.csv:3: a text of 10 tokens, and the model reads 5"):
        written(texts, context_length=8)
    _, cut = written(texts, context_length=8, too_long="cut")
    assert len(cut.ids) == 8
    assert cut.ids[1:4] == tuple(PIECES.encode("a b c"))
    assert cut.ids[-3:-1] == tuple(PIECES.encode("a b"))


def test_every_text_is_read_once_in_an_epoch_whatever_the_processes() -> None:
    texts = [labelled("a b c d e f g h"[: 2 * n - 1]) for n in range(1, 9)] * 5
    made = written(texts)
    classes = list(range(len(made)))
    whole = PackedTexts(made, classes=classes, rows=1, row_length=24, seed=1)
    seen = []
    for step in range(whole.num_rows):
        batch = whole.batch(step)
        for place, target, counts in zip(
            batch.places[0], batch.targets[0], batch.loss_mask[0], strict=True
        ):
            if counts:
                text = made[int(target)]
                begin = int(place) - text.place
                ids = batch.tokens[0, begin : begin + len(text.ids)]
                assert tuple(ids.tolist()) == text.ids
                seen.append(int(target))
    assert sorted(seen) == classes
    two = [
        PackedTexts(made, classes=classes, rows=2, row_length=24, seed=1, place=(rank, 2))
        for rank in range(2)
    ]
    rows = [row for half in two for row in half.batch(1).tokens.tolist()]
    assert rows == [whole.batch(step).tokens[0].tolist() for step in (2, 3)]
