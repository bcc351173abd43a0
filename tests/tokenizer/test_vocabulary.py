"""The files of a vocabulary, read by others and by us."""

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer as Backend

from cutaway.errors import CheckpointError
from cutaway.tokenizer.fast import BytePairTokenizer
from cutaway.tokenizer.pieces import GPT2_PATTERN, PATTERN
from cutaway.tokenizer.vocabulary import (
    BYTE_ORDER,
    BytePairVocabulary,
    dense_vocabulary,
    from_characters,
    from_file,
    read_gpt2,
    to_characters,
    to_file,
)


def test_every_byte_has_its_own_visible_character():
    every_byte = bytes(range(256))
    assert from_characters(to_characters(every_byte)) == every_byte
    assert to_characters(b"\n a") == "ĊĠa"
    assert sorted(BYTE_ORDER) == list(range(256))


def test_what_is_written_is_read_as_the_same(tokenizer: BytePairTokenizer):
    assert from_file(to_file(tokenizer.vocabulary)) == tokenizer.vocabulary


def test_tokenizers_reads_the_file_and_gives_the_same_ids(
    tokenizer: BytePairTokenizer, corpus: list[str]
):
    backend = Backend.from_str(tokenizer.to_json())
    text = "\n\n".join(corpus)
    assert backend.encode(text).ids == tokenizer.encode(text)
    assert backend.decode(tokenizer.encode(text)) == text
    assert backend.get_vocab_size() == tokenizer.vocab_size
    assert backend.token_to_id("<|assistant|>") == tokenizer.special["<|assistant|>"]


@pytest.mark.peer
def test_transformers_reads_the_file_and_gives_the_same_ids(
    tokenizer: BytePairTokenizer, corpus: list[str], tmp_path: Path
):
    transformers = pytest.importorskip("transformers", reason="the extra `peers` is not installed")
    tokenizer.save(tmp_path)
    peer = transformers.PreTrainedTokenizerFast(tokenizer_file=str(tmp_path / "tokenizer.json"))
    for text in corpus:
        assert peer(text)["input_ids"] == tokenizer.encode(text)


def test_merges_in_the_older_form_are_read_too(tokenizer: BytePairTokenizer):
    content = to_file(tokenizer.vocabulary)
    content["model"]["merges"] = [" ".join(pair) for pair in content["model"]["merges"]]
    assert from_file(content) == tokenizer.vocabulary


def test_a_byte_level_file_without_a_pattern_has_that_of_gpt2(tokenizer: BytePairTokenizer):
    content = to_file(tokenizer.vocabulary)
    content["pre_tokenizer"] = {"type": "ByteLevel", "add_prefix_space": False}
    assert from_file(content).pattern == GPT2_PATTERN


def test_gpt2s_own_files_are_its_tokenizer_json(gpt2_folder: Path):
    vocabulary = read_gpt2(gpt2_folder)
    assert from_file(json.loads(json.dumps(to_file(vocabulary)))) == vocabulary


def test_gpt2s_format_has_two_names_for_its_files(gpt2_folder: Path, tmp_path: Path):
    (tmp_path / "vocab.json").write_bytes((gpt2_folder / "encoder.json").read_bytes())
    (tmp_path / "merges.txt").write_bytes((gpt2_folder / "vocab.bpe").read_bytes())
    assert read_gpt2(tmp_path) == read_gpt2(gpt2_folder)


def test_a_folder_without_gpt2s_files_is_refused(tmp_path: Path):
    with pytest.raises(CheckpointError, match="not in GPT-2's format"):
        read_gpt2(tmp_path)
    (tmp_path / "encoder.json").write_text("[]")
    (tmp_path / "vocab.bpe").write_text("#version\n")
    with pytest.raises(CheckpointError, match="not in GPT-2's format"):
        read_gpt2(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tokens": {b"a": 0}}, "255 of the 256 bytes have no token"),
        ({"merges": [(b"a", b"b")]}, "merge 0 of b'a' and b'b' names what is no token"),
        ({"special": {"<|end|>": 7}}, "two tokens have the same id"),
        ({"special": {"<|end|>": 10**9}}, "ids from 0 to 1000000000"),
        ({"special": {"<|end|>": -1}}, "ids from -1"),
    ],
)
def test_a_vocabulary_that_cannot_be_is_refused(change: dict[str, object], message: str):
    dense = dense_vocabulary([], pattern=PATTERN, special=())
    fields = {"tokens": dense.tokens, "merges": [], "pattern": PATTERN} | change
    with pytest.raises(ValueError, match=message):
        BytePairVocabulary(**fields)
