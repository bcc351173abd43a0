"""Documents are read whole, in order, from every kind of file, and each mistake is named."""

import gzip
import json
from collections import Counter
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cutaway.errors import MOST_LINES, DataError
from cutaway.text.documents import (
    Document,
    content_key,
    read_documents,
    read_split,
    split_of,
)


def texts(path: Path) -> list[str]:
    return [document.text for document in read_documents(path)]


def written(path: Path, content: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def objects(*values: str) -> str:
    return "".join(json.dumps({"text": value}) + "\n" for value in values)


def parquet(path: Path, **columns: list[object]) -> Path:
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    return path


def test_every_kind_of_file_gives_the_same_documents(tmp_path: Path) -> None:
    values = ["one", "two\nlines", "三"]
    assert texts(written(tmp_path / "a.jsonl", objects(*values))) == values
    assert texts(written(tmp_path / "a.jsonl.gz", gzip.compress(objects(*values).encode()))) == (
        values
    )
    assert texts(parquet(tmp_path / "a.parquet", text=values, more=[1, 2, 3])) == values
    for number, value in enumerate(values):
        written(tmp_path / "folder" / f"{number}.txt", value)
    assert texts(tmp_path / "folder") == values


def test_a_folder_is_read_in_the_order_of_its_names_and_all_the_way_down(tmp_path: Path) -> None:
    written(tmp_path / "b.txt", "third")
    written(tmp_path / "a" / "z.txt", "second")
    written(tmp_path / "a" / "b" / "c.jsonl", objects("first"))
    written(tmp_path / "picture.png", b"\x89PNG")
    written(tmp_path / ".hidden.txt", "never")
    written(tmp_path / ".git" / "a.txt", "never")
    assert texts(tmp_path) == ["first", "second", "third"]


def test_a_byte_order_mark_and_carriage_returns_are_removed(tmp_path: Path) -> None:
    path = written(tmp_path / "a.txt", "\ufeffone\r\ntwo\rthree\n")
    assert texts(path) == ["one\ntwo\nthree\n"]
    assert texts(written(tmp_path / "a.jsonl", objects("one\r\ntwo"))) == ["one\ntwo"]


def test_a_line_end_cut_in_two_by_the_reader_stays_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / "a.txt", "\ufeffé\r\n三\r\r\n😀\r")
    expected = "é\n三\n\n😀\n"
    for size in (3, 4, 5, 7):
        monkeypatch.setattr("cutaway.text.documents._BLOCK_BYTES", size)
        assert texts(path) == [expected]


@settings(deadline=None, derandomize=True, max_examples=30)
@given(
    words=st.lists(
        st.sampled_from(["a", "word ", "\n", "\n\n", "\n\n\n", "三", "x" * 700]), min_size=1
    ),
    size=st.sampled_from([1, 7, 64, 1 << 20]),
)
def test_the_pieces_of_a_long_text_put_together_are_the_text(
    words: list[str], size: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cutaway.text.documents.LEAST_PIECE", 100)
        patch.setattr("cutaway.text.documents._BLOCK_BYTES", size)
        text = "begin" + "".join(words) * 3 + "end"
        pieces = texts(written(tmp_path_factory.mktemp("long") / "a.txt", text))
        # A piece of blank lines alone is no document.
        assert "".join(pieces).split() == text.split()
        assert max(map(len, pieces)) <= max(100, len(text.encode()) // 64)


def test_a_long_text_is_cut_where_a_paragraph_ends(tmp_path: Path) -> None:
    paragraph = "A sentence of some length follows another one.\n" * 20 + "\n"
    pieces = texts(written(tmp_path / "a.txt", paragraph * 50))
    assert len(pieces) > 10
    assert all(piece.startswith("A sentence") and piece.endswith("\n\n") for piece in pieces)
    assert "".join(pieces) == paragraph * 50


def test_a_text_without_any_place_to_cut_is_cut_all_the_same(tmp_path: Path) -> None:
    pieces = texts(written(tmp_path / "a.txt", "三" * 20_000))
    assert "".join(pieces) == "三" * 20_000
    assert max(map(len, pieces)) == 4096


def test_reading_is_lazy(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", objects("good") + "broken")
    documents = read_documents(path)
    assert next(documents).text == "good"
    with pytest.raises(DataError, match=":2: broken JSON"):
        next(documents)


def test_documents_that_say_nothing_are_passed_over(tmp_path: Path) -> None:
    assert texts(written(tmp_path / "a.jsonl", objects("", "one", " \n\t "))) == ["one"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", "", "holds no text"),
        ("a.txt", " \n\n", "holds no text"),
        ("a.jsonl", "", "holds no text"),
        ("a.txt", b"fine\nbad \xe9 byte", r"a\.txt:2: not UTF-8: byte 0xe9 at offset 9 "),
        ("a.txt", b"cut \xe4\xb8", r"a\.txt:1: not UTF-8: byte 0xe4 at offset 4 "),
        ("a.txt", "héllo".encode("utf-16"), r"byte 0xff at offset 0 .*UTF-16"),
        ("a.txt", b"one\ntwo\0", r"a\.txt:2: a NUL character"),
        ("a.jsonl", '{"content": "x", "id": 1}', r'a\.jsonl:1: no "text"; .*"content", "id"'),
        ("a.jsonl", "{}", r'a\.jsonl:1: no "text"; there is nothing'),
        ("a.jsonl", '{"text": 7}', r'a\.jsonl:1: "text" is a number, not a text'),
        ("a.jsonl", '{"text": null}', r'a\.jsonl:1: "text" is null'),
        ("a.jsonl", r'{"text": "a\u0000b"}', r"a\.jsonl:1: .*NUL"),
        ("a.jsonl", r'{"text": "a\ud83d"}', r"a\.jsonl:1: .*half of a surrogate pair \(\\ud83d\)"),
        ("a.json", "[]", r"a\.json does not end in \.txt, \.jsonl, \.jsonl\.gz or \.parquet"),
        ("a", "text", "does not end in"),
        ("a.parquet", "no parquet", r"a\.parquet is not a whole \.parquet file"),
        ("a.parquet", "", r"a\.parquet is not a whole \.parquet file"),
    ],
)
def test_each_mistake_is_named_with_its_place_in_few_lines(
    name: str, content: str | bytes, message: str, tmp_path: Path
) -> None:
    path = written(tmp_path / name, content)
    with pytest.raises(DataError, match=message) as caught:
        texts(path)
    assert 2 <= len(str(caught.value).splitlines()) <= MOST_LINES
    assert str(path) in str(caught.value)


def test_a_parquet_file_without_the_column_names_its_columns(tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.parquet", body=["x"], title=["y"])
    with pytest.raises(DataError, match='no column "text"; its columns are body, title'):
        texts(path)


@pytest.mark.parametrize(
    ("values", "message"),
    [(["a", None], 'row 2: "text" is null'), ([1, 2], 'row 1: "text" is a number')],
)
def test_a_row_without_a_text_is_named(values: list[object], message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        texts(parquet(tmp_path / "a.parquet", text=values))


def test_a_cut_off_parquet_file_is_named(tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.parquet", text=["x" * 100] * 100)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"not a whole \.parquet file"):
        texts(path)


def test_nothing_at_the_path_and_nothing_in_the_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no file or folder"):
        texts(tmp_path / "nowhere")
    written(tmp_path / "picture.png", b"")
    with pytest.raises(DataError, match=r"has no file that ends in \.txt"):
        texts(tmp_path)


def test_equal_texts_have_equal_keys_whatever_their_unicode_form() -> None:
    assert content_key("caf\u00e9") == content_key("cafe\u0301")
    assert content_key("cafe") != content_key("caf\u00e9")


@settings(deadline=None, derandomize=True)
@given(key=st.text(), salt=st.text())
def test_what_is_held_out_stays_held_out_when_more_is(key: str, salt: str) -> None:
    sides = [split_of(key, held_out=share, salt=salt) for share in (0.0, 0.05, 0.5, 1.0)]
    assert sides == sorted(sides)
    assert sides[0] == "train"
    assert sides[-1] == "validation"


def test_the_share_held_out_is_the_share_asked_for() -> None:
    sides = Counter(split_of(str(number), held_out=0.05) for number in range(4000))
    # Mean 200, standard deviation 13.8.
    assert abs(sides["validation"] - 200) < 4 * 13.8


def test_the_two_sides_put_together_are_the_documents(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", objects(*(f"text {n % 300}" for n in range(400))))
    train, validation = list(read_split(path, "train")), list(read_split(path, "validation"))
    assert Counter(train + validation) == Counter(read_documents(path))
    assert not {document.key for document in train} & {document.key for document in validation}
    assert 0 < len(validation) < 60


@pytest.mark.parametrize("held_out", [0.0, 1.0])
def test_neither_side_is_ever_empty(held_out: float, tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", objects("one", "two", "three", "two"))
    train = list(read_split(path, "train", held_out=held_out))
    validation = list(read_split(path, "validation", held_out=held_out))
    assert train
    assert validation
    assert Counter(train + validation) == Counter(read_documents(path))


@pytest.mark.parametrize("values", [["one"], ["one", "one"]])
def test_one_document_cannot_be_split(values: list[str], tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", objects(*values))
    with pytest.raises(DataError, match="one document only"):
        list(read_split(path, "train"))


def test_a_single_file_of_64_kib_can_be_split(tmp_path: Path) -> None:
    path = written(tmp_path / "a.txt", "".join(f"Line {n} of many.\n" for n in range(4000)))
    assert list(read_split(path, "train"))
    assert list(read_split(path, "validation"))


def test_a_document_knows_its_text_and_key() -> None:
    assert Document(text="a", key="b") == Document(text="a", key="b")
