"""Pairs of the user's own: rows or parallel files, and what is wrong is named with its line."""

import gzip
import json
from pathlib import Path

import pytest

from cutaway.errors import DataError
from cutaway.text.pairs import read_pairs, read_split


def sides(path: Path, target: str | None = None) -> list[tuple[str, str]]:
    return [(pair.source, pair.target) for pair in read_pairs(path, target=target)]


def test_rows_and_parallel_files_give_the_same_pairs(tmp_path: Path) -> None:
    pairs = [("ein Hund", "a dog"), ("zwei, drei", "two, three")]
    rows = "".join(json.dumps({"source": s, "target": t}) + "\n" for s, t in pairs)
    (tmp_path / "rows.jsonl").write_text(rows)
    (tmp_path / "rows.csv").write_text('source,target\nein Hund,a dog\n"zwei, drei","two, three"\n')
    (tmp_path / "rows.tsv").write_text("source\ttarget\nein Hund\ta dog\nzwei, drei\ttwo, three\n")
    (tmp_path / "train.de").write_text("ein Hund\nzwei, drei\n")
    (tmp_path / "train.en.gz").write_bytes(gzip.compress(b"a dog\r\ntwo, three\n"))
    for name in ("rows.jsonl", "rows.csv", "rows.tsv", "train.de"):
        assert sides(tmp_path / name) == pairs
    assert sides(tmp_path / "train.en.gz") == [(target, source) for source, target in pairs]


def test_the_language_of_several_is_asked_for(tmp_path: Path) -> None:
    for language in ("de", "en", "fr"):
        (tmp_path / f"train.{language}").write_text(f"{language}\n")
    assert sides(tmp_path / "train.de", "fr") == [("de", "fr")]
    with pytest.raises(DataError, match=r"there is: en, fr\nSay which with pairs\.target="):
        sides(tmp_path / "train.de")
    with pytest.raises(DataError, match=r"train\.it is needed beside it"):
        sides(tmp_path / "train.de", "it")


@pytest.mark.parametrize(
    ("source", "target", "told"),
    [
        ("a\nb\nc\n", "x\ny\n", r"train\.de:3: this line has no partner: .*train\.en ends with"),
        ("a\n", "x\ny\nz\n", r"train\.en:2: this line has no partner"),
        ("a\n\nc\n", "x\ny\nz\n", r"train\.de:2: the line is empty"),
        ("a\nb\n", "x\n  \n", r"train\.en:2: the line is empty"),
        ("a\nb\0\n", "x\ny\n", r"train\.de:2 holds a NUL"),
        ("", "", "holds no pairs"),
    ],
)
def test_what_is_wrong_with_parallel_files_is_named(
    tmp_path: Path, source: str, target: str, told: str
) -> None:
    (tmp_path / "train.de").write_text(source)
    (tmp_path / "train.en").write_text(target)
    with pytest.raises(DataError, match=told):
        sides(tmp_path / "train.de")


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"source": "a"}, r'rows\.jsonl:2: no "target"; there is "source"'),
        ({"source": " ", "target": "x"}, r'rows\.jsonl:2: "source" is empty'),
        ({"source": "a", "target": 3}, r'rows\.jsonl:2: "target" is a number'),
    ],
)
def test_what_is_wrong_with_a_row_is_named(
    tmp_path: Path, row: dict[str, object], told: str
) -> None:
    good = {"source": "a", "target": "x"}
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(good) + "\n" + json.dumps(row) + "\n")
    with pytest.raises(DataError, match=told):
        sides(path)


def test_a_file_of_another_kind_is_refused_with_advice(tmp_path: Path) -> None:
    (tmp_path / "pairs").write_text("a\n")
    with pytest.raises(DataError, match=r"Give such a file: pairs\.csv, or train\.de with train"):
        sides(tmp_path / "pairs")


def test_a_handful_of_pairs_is_divided_and_one_is_not_enough(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("source,target\n" + "".join(f"word {n},{n}\n" for n in range(4)))
    train, held_out = list(read_split(path, "train")), list(read_split(path, "validation"))
    assert {pair.source for pair in train} | {pair.source for pair in held_out} == {
        f"word {n}" for n in range(4)
    }
    assert held_out
    path.write_text("source,target\na,b\n")
    with pytest.raises(DataError, match="holds one pair only"):
        list(read_split(path, "train"))
