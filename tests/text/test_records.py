"""Rows know where they stand, and a broken one is named by file and line."""

import gzip
import json

import pytest

from cutaway.errors import DataError
from cutaway.text.records import filled, read_records


def test_every_kind_of_file_gives_the_same_rows(tmp_path):
    rows = [{"question": "1, 2?", "answer": "A"}, {"question": 'say "x"', "answer": "B"}]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "a.jsonl").write_text(lines)
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    (tmp_path / "a.csv").write_text('question,answer\n"1, 2?",A\n"say ""x""",B\n')
    (tmp_path / "a.tsv").write_text('question\tanswer\n1, 2?\tA\n"say ""x"""\tB\n')
    for path in tmp_path.iterdir():
        assert [record.fields for record in read_records(path)] == rows


def test_a_row_knows_its_line_past_empty_lines_and_cells_of_several_lines(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"a": 1}\n\n{"a": 2}\n')
    (tmp_path / "a.csv").write_text('\ufeffa,b\n"two\nlines",x\n\nlast,y\n', encoding="utf-8")
    assert [record.place for record in read_records(tmp_path / "a.jsonl")] == [
        f"{tmp_path}/a.jsonl:1",
        f"{tmp_path}/a.jsonl:3",
    ]
    rows = list(read_records(tmp_path / "a.csv"))
    assert [row.fields["a"] for row in rows] == ["two\nlines", "last"]
    assert [row.place for row in rows] == [f"{tmp_path}/a.csv:2", f"{tmp_path}/a.csv:5"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"a": 1}\n{"a": \n', "a.jsonl:2: "),
        ("a.jsonl", b'{"a": 1}\n\xff\n', "a.jsonl:2: not UTF-8"),
        ("a.csv", b"a,b\n1,2\n1,2,3\n", "a.csv:3: 3 columns, but the first line names 2: a, b"),
        ("a.csv", b"a,b\n\xff,2\n", "a.csv: not UTF-8"),
        ("a.tsv", b'a\tb\n"x\n', "a.tsv:2: unexpected end of data"),
        ("a.doc", b"", "rows are read from files that end in .jsonl, .jsonl.gz, .csv, .tsv"),
    ],
)
def test_a_broken_row_is_named_by_file_and_line(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as caught:
        list(read_records(tmp_path / name))
    assert message in str(caught.value)


def test_a_missing_file_is_an_error_of_the_data(tmp_path):
    with pytest.raises(DataError, match=r"none\.csv cannot be read"):
        list(read_records(tmp_path / "none.csv"))


@pytest.mark.parametrize("value", [None, 3, "", "  ", ["x"]])
def test_a_text_must_be_a_text_with_something_in_it(tmp_path, value):
    (tmp_path / "a.jsonl").write_text(json.dumps({"question": value}) + "\n")
    [record] = read_records(tmp_path / "a.jsonl")
    with pytest.raises(DataError, match=r'a\.jsonl:1: "question"'):
        filled(record, "question")
