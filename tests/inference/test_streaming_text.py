"""Text as it comes: whole characters, up to the first stop string, however it is cut in tokens."""

from collections.abc import Sequence

from hypothesis import example, given
from hypothesis import strategies as st

from cutaway.inference.streaming_text import StreamingText
from cutaway.tokenizer.bpe import train

BYTES = train(["abababab € 中文 ababab aab ba"] * 4, vocab_size=300)
TEXTS = st.text("ab€中 ", max_size=12)
STOPS = st.lists(st.text("ab€中 ", min_size=1, max_size=4), max_size=3)


def streamed(ids: Sequence[int], *, stop: Sequence[str]) -> list[str]:
    """The pieces that are shown for these ids, and at the end."""
    text = StreamingText(BYTES, stop=stop)
    pieces = []
    for token in ids:
        pieces.append(text.feed(token))
        if text.is_stopped:
            return pieces
    return [*pieces, text.finish()]


def cut(text: str, *, stop: Sequence[str]) -> str:
    """The text before the stop string that is complete first, read letter by letter."""
    for end in range(1, len(text) + 1):
        found = [end - len(word) for word in stop if text[:end].endswith(word)]
        if found:
            return text[: min(found)]
    return text


@given(data=st.binary(max_size=16), sizes=st.lists(st.integers(1, 4)), stop=STOPS)
@example(data="a€b".encode(), sizes=[], stop=["€b"])
def test_all_pieces_are_the_text_up_to_the_stop_for_any_bytes(
    data: bytes, sizes: list[int], stop: list[str]
) -> None:
    ids = [BYTES.vocabulary.tokens[data[place : place + 1]] for place in range(len(data))]
    assert "".join(streamed(ids, stop=stop)) == cut(BYTES.decode(ids), stop=stop)


@given(text=TEXTS, stop=STOPS)
def test_the_cut_in_tokens_changes_no_text(text: str, stop: list[str]) -> None:
    letters = [BYTES.vocabulary.tokens[bytes([byte])] for byte in text.encode()]
    merged = BYTES.encode(text)
    assert "".join(streamed(letters, stop=stop)) == "".join(streamed(merged, stop=stop))


@given(text=TEXTS, stop=STOPS)
def test_no_part_of_a_stop_string_is_ever_shown(text: str, stop: list[str]) -> None:
    shown = ""
    whole = cut(text, stop=stop)
    for piece in streamed(BYTES.encode(text), stop=stop):
        shown += piece
        assert whole.startswith(shown)
        assert "\N{REPLACEMENT CHARACTER}" not in shown


def test_what_cannot_become_a_stop_string_is_shown_at_once() -> None:
    ids = [BYTES.encode(letter)[0] for letter in "abaac"]
    assert streamed(ids, stop=["aac!", "bb"])[:4] == ["", "a", "b", ""]


def test_a_character_that_is_cut_short_is_told_at_the_end() -> None:
    first = BYTES.vocabulary.tokens["€".encode()[:1]]
    assert streamed([first], stop=[]) == ["", "\N{REPLACEMENT CHARACTER}"]
