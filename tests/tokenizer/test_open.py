"""Opening tokenizers: what was saved comes back, and what is none is refused with its cause."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cutaway.errors import CheckpointError
from cutaway.tokenizer import characters
from cutaway.tokenizer.fast import BytePairTokenizer
from cutaway.tokenizer.open import open_tokenizer
from cutaway.tokenizer.vocabulary import to_file


def test_byte_pairs_come_back_as_they_were_saved(tokenizer: BytePairTokenizer, tmp_path: Path):
    tokenizer.save(tmp_path)
    from_folder, from_the_file = (
        open_tokenizer(tmp_path / name) for name in ("", "tokenizer.json")
    )
    assert from_folder.to_json() == from_the_file.to_json() == tokenizer.to_json()
    assert from_folder.special == tokenizer.special


@pytest.mark.parametrize("unknown", [None, "?"])
def test_characters_come_back_as_they_were_saved(tmp_path: Path, unknown: str | None):
    saved = characters.train(["hello?"], unknown=unknown)
    saved.save(tmp_path)
    assert open_tokenizer(tmp_path).to_json() == saved.to_json()


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"", "is not JSON"),
        (b"{", "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"{}", "'model' is missing"),
        (b"[]", "not a tokenizer"),
        (b"null", "not a tokenizer"),
        (b'{"model": 3}', "not a tokenizer"),
        (b'{"model": {"type": "Unigram"}}', "its model is 'Unigram'"),
        (b'{"model": {"type": "BPE"}}', "'vocab' is missing"),
        (b'{"model": {"type": "WordLevel", "vocab": {}}}', "'pre_tokenizer' is missing"),
    ],
)
def test_what_is_no_tokenizer_is_refused_with_its_cause(tmp_path: Path, content: bytes, cause: str):
    path = tmp_path / "tokenizer.json"
    path.write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        open_tokenizer(path)
    assert cause in str(caught.value)
    assert str(path) in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 6


def _drop_out(content: dict[str, Any]) -> None:
    content["model"]["dropout"] = 0.5


def _forget_a_byte(content: dict[str, Any]) -> None:
    del content["model"]["vocab"]["a"]


def _merge_strangers(content: dict[str, Any]) -> None:
    content["model"]["merges"].append(["Q", "ÿ"])


def _merge_three(content: dict[str, Any]) -> None:
    content["model"]["merges"][0] = ["a", "b", "c"]


def _use_a_character_that_is_no_byte(content: dict[str, Any]) -> None:
    content["model"]["vocab"]["▁the"] = 5000


def _break_the_pattern(content: dict[str, Any]) -> None:
    content["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = "(["


def _give_text_for_an_id(content: dict[str, Any]) -> None:
    content["model"]["vocab"]["a"] = "seven"


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (_drop_out, "drops merges at random"),
        (_forget_a_byte, "1 of the 256 bytes have no token"),
        (_merge_strangers, "names what is no token"),
        (_merge_three, "too many values"),
        (_use_a_character_that_is_no_byte, "'▁' is missing or not known"),
        (_break_the_pattern, "pattern"),
        (_give_text_for_an_id, "seven"),
    ],
)
def test_a_damaged_tokenizer_is_refused_with_its_cause(
    tokenizer: BytePairTokenizer,
    tmp_path: Path,
    change: Callable[[dict[str, Any]], None],
    cause: str,
):
    content = to_file(tokenizer.vocabulary)
    change(content)
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(CheckpointError) as caught:
        open_tokenizer(tmp_path)
    assert cause in str(caught.value)


def test_a_missing_file_says_how_to_make_one(tmp_path: Path):
    with pytest.raises(CheckpointError, match="`cutaway tokenizer` trains one"):
        open_tokenizer(tmp_path)


def test_a_folder_in_the_place_of_the_file_is_refused(tmp_path: Path):
    (tmp_path / "tokenizer.json").mkdir()
    with pytest.raises(CheckpointError, match="cannot be read"):
        open_tokenizer(tmp_path / "tokenizer.json" / "..")
