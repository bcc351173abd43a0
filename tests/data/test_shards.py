"""What was written is read back, and what was damaged is found."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cutaway.data.manifest import MANIFEST
from cutaway.data.shards import Shards, write_shards
from cutaway.errors import DataError, ResourceError

DOCUMENTS = [[1, 2, 3], [4], [5, 6, 7, 8, 9, 10, 11, 12, 13], [14, 15]]
MARKS = [[index % 3 == 0 for index in range(len(ids))] for ids in DOCUMENTS]


def written(folder: Path, *, shard_tokens: int = 8, marked: bool = False) -> Shards:
    marks = MARKS if marked else [None] * len(DOCUMENTS)
    pairs = zip(DOCUMENTS, marks, strict=True)
    return write_shards(pairs, folder, vocab_size=20, shard_tokens=shard_tokens)


@settings(deadline=None, derandomize=True, max_examples=25)
@given(
    documents=st.lists(
        st.lists(st.tuples(st.integers(0, 99), st.booleans()), min_size=1, max_size=20),
        min_size=1,
        max_size=10,
    ),
    shard_tokens=st.sampled_from([8, 16, 1 << 20]),
)
def test_documents_and_marks_come_back_as_they_were(
    documents: list[list[tuple[int, bool]]],
    shard_tokens: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    pairs = [tuple(map(list, zip(*document, strict=True))) for document in documents]
    folder = tmp_path_factory.mktemp("shards") / "here"
    shards = write_shards(pairs, folder, vocab_size=100, shard_tokens=shard_tokens)
    for index, (ids, marks) in enumerate(pairs):
        assert shards.document(index).tolist() == ids
        assert shards.learned(index).tolist() == marks
    shards.verify()


def test_writing_in_small_portions_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = written(tmp_path / "whole", marked=True)
    monkeypatch.setattr("cutaway.data.shards.BUFFERED_TOKENS", 3)
    assert written(tmp_path / "portions", marked=True).fingerprint == whole.fingerprint


def test_arrays_and_lists_give_the_same_shards(tmp_path: Path) -> None:
    pairs = [(np.array(ids), np.array(marks)) for ids, marks in zip(DOCUMENTS, MARKS, strict=True)]
    arrays = write_shards(pairs, tmp_path / "arrays", vocab_size=20, shard_tokens=8)
    assert arrays.fingerprint == written(tmp_path / "lists", marked=True).fingerprint


def test_without_marks_everything_is_learned_from(tmp_path: Path) -> None:
    assert written(tmp_path / "here").learned(2).all()


@pytest.mark.parametrize(("vocab_size", "size"), [(1 << 16, 2), ((1 << 16) + 1, 4)])
def test_ids_take_two_bytes_where_the_vocabulary_allows_it(
    vocab_size: int, size: int, tmp_path: Path
) -> None:
    shards = write_shards([([vocab_size - 1], None)], tmp_path / "here", vocab_size=vocab_size)
    assert (tmp_path / "here" / "tokens-00000.bin").stat().st_size == size
    assert shards.document(0).tolist() == [vocab_size - 1]


def test_what_the_writer_wants_remembered_is_remembered(tmp_path: Path) -> None:
    write_shards([([1], None)], tmp_path / "here", vocab_size=2, about={"tokenizer": "abc"})
    assert Shards(tmp_path / "here").manifest.about == {"tokenizer": "abc"}


def test_a_failure_leaves_the_shards_of_before(tmp_path: Path) -> None:
    before = written(tmp_path / "here").fingerprint
    with pytest.raises(DataError, match="token id 20 is not in the vocabulary"):
        write_shards([([19, 20], None)], tmp_path / "here", vocab_size=20)
    assert Shards(tmp_path / "here").fingerprint == before
    assert [path.name for path in tmp_path.iterdir()] == ["here"]


def test_new_shards_replace_old_ones(tmp_path: Path) -> None:
    written(tmp_path / "here")
    write_shards([([1, 1], None)], tmp_path / "here", vocab_size=20)
    assert Shards(tmp_path / "here").num_tokens == 2
    assert [path.name for path in tmp_path.iterdir()] == ["here"]


def test_a_folder_of_something_else_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(DataError, match="is in the way"):
        written(tmp_path)
    assert (tmp_path / "thesis.txt").exists()


def test_no_documents_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no documents"):
        write_shards([], tmp_path / "here", vocab_size=20)


def test_an_empty_document_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="document 1 has no tokens"):
        write_shards([([1], None), ([], None)], tmp_path / "here", vocab_size=20)


def test_marks_for_some_documents_only_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="either every document"):
        write_shards([([1], None), ([1], [True])], tmp_path / "here", vocab_size=20)


def test_a_machine_that_refuses_is_a_resource_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError, match="cannot write"):
        written(tmp_path / "file" / "here")


def test_a_folder_without_a_manifest_holds_no_shards(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no shards"):
        Shards(tmp_path)


def test_a_missing_and_a_shortened_file_are_named(tmp_path: Path) -> None:
    written(tmp_path / "here")
    path = tmp_path / "here" / "tokens-00001.bin"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"tokens-00001.bin has 13 bytes, not 14"):
        Shards(tmp_path / "here")
    path.unlink()
    with pytest.raises(DataError, match=r"tokens-00001.bin is missing"):
        Shards(tmp_path / "here")


def test_a_changed_byte_is_found_on_request(tmp_path: Path) -> None:
    shards = written(tmp_path / "here")
    shards.verify()
    path = tmp_path / "here" / "tokens-00000.bin"
    content = bytearray(path.read_bytes())
    content[3] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"tokens-00000.bin has changed"):
        shards.verify()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "other"}, '"format"'),
        ({"num_tokens": "many"}, '"num_tokens" is not a whole number'),
        ({"num_tokens": True}, '"num_tokens" is not a whole number'),
        ({"num_tokens": 10**15}, "more files than it lists"),
        ({"num_tokens": 10}, "does not fit its counts|has 14 bytes"),
        ({"files": []}, '"files"'),
        ({"files": {"../../etc/passwd": {"sha256": ""}}}, "more files than it lists"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_damaged(
    change: dict[str, object], message: str, tmp_path: Path
) -> None:
    written(tmp_path / "here")
    path = tmp_path / "here" / MANIFEST
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(DataError, match=message):
        Shards(tmp_path / "here")


@pytest.mark.parametrize("content", ["", "{", "[" * 100_000, "\ud800"])
def test_a_manifest_that_is_no_json_is_damaged(content: str, tmp_path: Path) -> None:
    written(tmp_path / "here")
    (tmp_path / "here" / MANIFEST).write_bytes(content.encode(errors="surrogatepass"))
    with pytest.raises(DataError, match="is damaged"):
        Shards(tmp_path / "here")


def test_equal_content_has_an_equal_fingerprint_wherever_it_lies(tmp_path: Path) -> None:
    shards = written(tmp_path / "here")
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    assert Shards(tmp_path / "there").fingerprint == shards.fingerprint
