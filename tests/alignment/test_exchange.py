"""Judgements go to other programs and come back; a broken line is named with its number."""

import csv
import io
import json
import os
from pathlib import Path

import pytest

from cutaway.alignment.exchange import (
    escaped,
    published_preferences,
    read_preferences,
    write_preferences,
)
from cutaway.alignment.judgements import Judged, Judgement
from cutaway.alignment.preferences import pairs
from cutaway.errors import MOST_LINES, DataError
from tests.alignment.conftest import compared

ITEM = compared("=1+1?", "+good", "@bad\n行")
JUDGED = Judged(
    judgement=Judgement(
        comparison=ITEM.key, rater="-Ruth", judge="person", verdict="b",
        shown=ITEM.answer_keys[::-1], reasons=("correct",), milliseconds=2500,
    ),
    comparison=ITEM,
)  # fmt: skip


@pytest.mark.parametrize(("form", "name"), [("trl", "x.jsonl"), ("label-studio", "x.json")])
def test_what_is_exported_is_read_back_as_the_same_preference(tmp_path: Path, form, name: str):
    path = tmp_path / name
    assert write_preferences([JUDGED], path, form=form) == 1
    (pair,) = pairs(read_preferences(path, rater="file"))
    assert (pair.chosen.text, pair.rejected.text) == ("+good", "@bad\n行")
    assert pair.prompt == ITEM.prompt


def test_trls_form_is_that_of_its_conversational_preferences(tmp_path: Path):
    path = tmp_path / "x.jsonl"
    write_preferences([JUDGED], path, form="trl")
    assert json.loads(path.read_text(encoding="utf-8")) == {
        "prompt": [{"role": "user", "content": "=1+1?"}],
        "chosen": [{"role": "assistant", "content": "+good"}],
        "rejected": [{"role": "assistant", "content": "@bad\n行"}],
    }


def test_no_cell_of_the_csv_is_a_formula(tmp_path: Path):
    path = tmp_path / "x.csv"
    write_preferences([JUDGED], path, form="csv")
    (row,) = csv.DictReader(io.StringIO(path.read_bytes().decode(), newline=""))
    assert (row["rater"], row["prompt"]) == ("'-Ruth", "'=1+1?")
    assert (row["first"], row["second"], row["ranking"]) == ("'@bad\n行", "'+good", "2 > 1")
    for cell in ("=A1", "+1", "-1", "@x", "\tx", "\rx"):
        assert escaped(cell) == "'" + cell
    assert escaped("a=b") == "a=b"


@pytest.mark.parametrize(
    "line",
    [
        {"prompt": "2 + 2", "chosen": "4", "rejected": "5"},
        {"instruction": "2 + 2", "input": "", "chosen": "4", "rejected": "5"},
        {
            "chosen": [{"role": "user", "content": "2 + 2"}, {"role": "assistant", "content": "4"}],
            "rejected": [
                {"role": "user", "content": "2 + 2"},
                {"role": "assistant", "content": "5"},
            ],
        },
    ],
)
def test_each_published_form_is_read(tmp_path: Path, line: dict[str, object]):
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps(line) + "\n")
    (pair,) = pairs(read_preferences(path, rater="x"))
    assert (pair.prompt[0].content, pair.chosen.text, pair.rejected.text) == ("2 + 2", "4", "5")


GOOD = '{"prompt": "p", "chosen": "c", "rejected": "r"}\n'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "it is empty"),
        (GOOD + "{broken\n", "x.jsonl:2: broken JSON"),
        (GOOD * 3 + "[1]\n", "x.jsonl:4: this is a list, not an object"),
        (GOOD + '{"prompt": "p"}\n', 'x.jsonl:2: no preference; there is "prompt"'),
        (GOOD + '{"prompt": "p", "chosen": "c", "rejected": 5}\n', 'x.jsonl:2: "rejected" is'),
        (
            '{"prompt": "p", "chosen": "c", "rejected": " c"}\n',
            "x.jsonl:1: chosen and rejected are",
        ),
        ('{"prompt": "", "chosen": "c", "rejected": "r"}\n', "x.jsonl:1: the prompt is empty"),
        ('{"prompt": "p", "chosen": "c\\u0000", "rejected": "r"}\n', "x.jsonl:1"),
        ('{"data": {}, "annotations": []}\n', "x.jsonl:1: the task has no annotation"),
        (
            '{"prompt": [{"role": "god", "content": "x"}], "chosen": "c", "rejected": "r"}\n',
            'x.jsonl:1: "prompt[0].role" is "god"',
        ),
    ],
)
def test_a_broken_line_is_named_with_its_number(tmp_path: Path, text: str, told: str):
    path = tmp_path / "x.jsonl"
    path.write_text(text)
    with pytest.raises(DataError) as raised:
        list(read_preferences(path, rater="x"))
    assert told in str(raised.value)
    assert len(str(raised.value).splitlines()) <= MOST_LINES


def test_nothing_to_export_is_said_and_no_file_is_made(tmp_path: Path):
    with pytest.raises(DataError, match="no judgements to export"):
        write_preferences([], tmp_path / "x.jsonl", form="trl")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif("CUTAWAY_DATA" not in os.environ, reason="CUTAWAY_DATA is not set")
def test_the_published_preferences_are_read_whole():
    found = pairs(published_preferences())
    assert len(found) > 1000
    assert (
        found[1].prompt[0].content.startswith("Edit the following sentence for grammar.\n\nHe go")
    )
