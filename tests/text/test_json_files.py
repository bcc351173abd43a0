"""Broken and hostile files are told apart from good ones, by place."""

import gzip
import json
from pathlib import Path

import pytest

from cutaway.errors import DataError
from cutaway.text.json_files import read_json_array, read_json_lines


def lines(path: Path, content: bytes) -> list[dict[str, object]]:
    path.write_bytes(content)
    return [record.fields for record in read_json_lines(path)]


def array(path: Path, content: str) -> list[tuple[dict[str, object], str]]:
    path.write_text(content, encoding="utf-8")
    return [(record.fields, record.place) for record in read_json_array(path)]


def test_marks_of_order_blank_lines_and_carriage_returns_are_passed_over(tmp_path: Path) -> None:
    content = b'\xef\xbb\xbf{"a": 1}\r\n\r\n  \n{"a": 2}'
    assert lines(tmp_path / "a.jsonl", content) == [{"a": 1}, {"a": 2}]


def test_packed_and_plain_lines_are_the_same(tmp_path: Path) -> None:
    content = b'{"a": 1}\n{"a": 2}\n'
    plain = lines(tmp_path / "a.jsonl", content)
    assert lines(tmp_path / "a.jsonl.gz", gzip.compress(content)) == plain


def test_the_broken_line_812_is_named(tmp_path: Path) -> None:
    content = b'{"text": "fine"}\n' * 811 + b'{"text": "bro\n' + b'{"text": "fine"}\n' * 5
    with pytest.raises(DataError, match=r"a\.jsonl:812: broken JSON"):
        lines(tmp_path / "a.jsonl", content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": 1}\n[1]', r":2: this is a list, not an object"),
        (b"null", r":1: this is null, not an object"),
        (b"7", r":1: this is a number, not an object"),
        (b'{"a": 1}\n{"a": "\xff"}', r":2: not UTF-8: byte 0xff at offset 16 "),
        (b'\xff\xfe{\x00"\x00', r":1: not UTF-8: byte 0xff at offset 0 .*UTF-16"),
        (b'\n{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", r":2: .* nested too deeply"),
        (b'{"a": ' + b"9" * 5000 + b"}", r":1: a number is too long"),
    ],
)
def test_what_is_no_line_of_json_is_named_with_its_line(
    content: bytes, message: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=message):
        lines(tmp_path / "a.jsonl", content)


def test_a_packed_file_that_grows_beyond_all_measure_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cutaway.text.json_files.FREE_EXPANSION_BYTES", 1000)
    bomb = gzip.compress(b" " * 1_000_000 + b"\n")
    with pytest.raises(DataError, match="grows to more than 200 times its size"):
        lines(tmp_path / "a.jsonl.gz", bomb)


def test_a_line_without_end_is_refused_before_it_fills_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cutaway.text.json_files.MOST_LINE_BYTES", 100)
    with pytest.raises(DataError, match=r":2: the line is longer than 100 bytes"):
        lines(tmp_path / "a.jsonl", b'{"a": 1}\n' + b" " * 200)


@pytest.mark.parametrize(
    "content", [b"no gzip", b"", gzip.compress(b"{}\n" * 99)[:-9], gzip.compress(b"{}\n")[:5]]
)
def test_a_damaged_packed_file_is_refused_or_empty(content: bytes, tmp_path: Path) -> None:
    if content == b"":
        assert lines(tmp_path / "a.jsonl.gz", content) == []
    else:
        with pytest.raises(DataError, match="the compressed file is damaged"):
            lines(tmp_path / "a.jsonl.gz", content)


def test_the_objects_of_an_array_know_their_lines(tmp_path: Path) -> None:
    content = '\ufeff[\n {"a": 1},\n\n {"a":\n 2}, {"a": 3}\n]\n'
    path = tmp_path / "a.json"
    found = array(path, content)
    assert [fields for fields, _ in found] == json.loads(content[1:])
    assert [place for _, place in found] == [f"{path}:2", f"{path}:4", f"{path}:5"]


def test_an_empty_array_has_no_objects(tmp_path: Path) -> None:
    assert array(tmp_path / "a.json", " [ ] ") == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not an array"),
        ('{"a": 1}', "not an array"),
        ('[{"a": 1}\n {"a": 2}]', r':2: "," or "\]" is missing'),
        ('[{"a": 1},\n', r":2: broken JSON"),
        ('[{"a": 1},\n\n{"a" 2}]', r":3: broken JSON"),
        ('[{"a": 1},\n7]', r":2: this is a number"),
        ('[{"a": 1}] and more', "more after the end"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_no_array_of_objects_is_refused(content: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        array(tmp_path / "a.json", content)


def test_an_array_too_large_to_hold_is_sent_to_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cutaway.text.json_files.MOST_ARRAY_BYTES", 3)
    with pytest.raises(DataError, match=r"Write it as \.jsonl"):
        array(tmp_path / "a.json", '[{"a": 1}]')
