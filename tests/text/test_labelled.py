"""Rows of text and label: read, parted, and each mistake told with its line."""

import json
from pathlib import Path

import pytest

from cutaway.errors import DataError
from cutaway.text.labelled import (
    LabelledText,
    balanced,
    divide,
    hold_out,
    read_labelled,
    require_classes,
    require_known,
)


def some(count: int, *, label: str) -> list[LabelledText]:
    return [
        LabelledText(text=f"{label} {number}", label=label, key=f"{label}{number}")
        for number in range(count)
    ]


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl"])
def test_rows_are_read_from_tables_and_from_json(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"rows.{ending}"
    rows = [{"text": "one, two", "label": "a"}, {"text": "three", "label": "b"}]
    if ending == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        mark = {"csv": ",", "tsv": "\t"}[ending]
        lines = [f"text{mark}label", f'"one, two"{mark}a', f"three{mark}b"]
        path.write_text("\n".join(lines))
    found = list(read_labelled(path))
    assert [(row.text, row.label) for row in found] == [("one, two", "a"), ("three", "b")]
    assert found[1].place == f"{path}:{2 if ending == 'jsonl' else 3}"


def test_pairs_and_labels_that_are_numbers_are_read(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "a", "text_b": "b", "label": 1}\n')
    (found,) = read_labelled(path)
    assert (found.text, found.second, found.label) == ("a", "b", "1")


def test_every_class_stands_in_every_part_and_no_text_in_two() -> None:
    texts = [*some(100, label="a"), *some(10, label="b"), *some(3, label="c")]
    parts = divide(texts)
    sides = [parts.learn, parts.calibrate, parts.test]
    assert [len(side) for side in sides] == [80 + 8 + 1, 10 + 1 + 1, 10 + 1 + 1]
    for side in sides:
        assert {text.label for text in side} == {"a", "b", "c"}
    keys = [text.key for side in sides for text in side]
    assert sorted(keys) == sorted(text.key for text in texts)
    assert divide(list(reversed(texts))) == parts


def test_equal_texts_count_once_whatever_their_labels() -> None:
    texts = [*some(20, label="a"), *some(20, label="b")]
    again = [LabelledText(text="a 3", label="b", key="a3"), *texts[:5]]
    assert divide([*texts, *again]) == divide(texts)


def test_what_is_tested_by_is_not_learned_from() -> None:
    texts = [*some(20, label="a"), *some(20, label="b")]
    parts = hold_out(texts, test=texts[:4])
    assert parts.test == tuple(texts[:4])
    learned = {text.key for text in (*parts.learn, *parts.calibrate)}
    assert learned == {text.key for text in texts[4:]}


def test_balanced_classes_are_as_large_as_the_rarest() -> None:
    texts = [*some(500, label="a"), *some(60, label="b")]
    parts = balanced(texts, test=40, salt="1")
    for side, count in ((parts.test, 20), (parts.calibrate, 4), (parts.learn, 36)):
        for label in ("a", "b"):
            assert sum(text.label == label for text in side) == count
    assert balanced(texts, test=40, salt="2") != parts


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("text,label\n , a\n", 'rows.csv:2: "text" is empty'),
        ("text,label\na,\n", 'rows.csv:2: "label" is empty'),
        ("text,text_b,label\na,b,c\na,,c\n", 'rows.csv:3: "text_b" is empty'),
        ("text,class\na,b\n", 'rows.csv:2: no "label"; there is "text", "class"'),
        ("text,label\n", "rows.csv holds no rows"),
    ],
)
def test_a_broken_row_is_told_with_its_line(content: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(content)
    with pytest.raises(DataError) as error:
        list(read_labelled(path))
    assert told in str(error.value)


def test_one_class_only_a_rare_class_and_an_unknown_one_are_told() -> None:
    with pytest.raises(DataError, match="one class only: there is nothing to tell apart"):
        require_classes(some(5, label="a"), place="rows.csv")
    with pytest.raises(DataError, match="the label 'b' has 2 text"):
        require_classes([*some(5, label="a"), *some(2, label="b")], place="rows.csv")
    with pytest.raises(DataError, match="the label 'c' was never seen in learning"):
        require_known(some(1, label="c"), labels=["a", "b"])
