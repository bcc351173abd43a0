"""Rows say the truth about what follows what, and lose nothing."""

from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from cutaway.data.shards import Shards, write_shards
from cutaway.data.sources import ExampleSource, PackedExamples, Rows, TextSource
from cutaway.errors import DataError

SEPARATOR = 0
PADDING = 0


def text_shards(folder: Path, lengths: list[int]) -> Shards:
    """Writes documents that start with a separator and count up, each id occurring once."""
    documents, first = [], 1
    for length in lengths:
        documents.append(([SEPARATOR, *range(first, first + length - 1)], None))
        first += length - 1
    return write_shards(documents, folder, vocab_size=1000, shard_tokens=16)


def example_shards(folder: Path, lengths: list[int]) -> Shards:
    """Writes examples of ids of their own, the second half of each learned."""
    documents, first = [], 1
    for length in lengths:
        marks = [place >= length // 2 for place in range(length)]
        documents.append((list(range(first, first + length)), marks))
        first += length
    return write_shards(documents, folder, vocab_size=10_000, shard_tokens=64)


def all_rows(source: TextSource | ExampleSource, *, row_length: int, epoch: int = 0) -> Rows:
    maker = source.open(row_length=row_length, seed=1)
    return maker.rows(np.arange(maker.num_rows) + epoch * maker.num_rows)


@pytest.mark.parametrize("epoch", [0, 1, 2, 11])
def test_the_windows_of_an_epoch_cover_the_text_once(epoch: int, tmp_path: Path) -> None:
    shards = text_shards(tmp_path / "text", [30, 1, 17, 40])
    rows = all_rows(TextSource(name="text", shards=shards), row_length=8, epoch=epoch)
    seen = Counter(rows.tokens.ravel().tolist())
    written = Counter(shards.gather(np.arange(shards.num_tokens)).tolist())
    assert rows.tokens.size == shards.num_tokens // 8 * 8
    assert seen <= written


def test_windows_begin_elsewhere_in_each_epoch(tmp_path: Path) -> None:
    source = TextSource(name="text", shards=text_shards(tmp_path / "text", [64]))
    firsts = [
        frozenset(all_rows(source, row_length=8, epoch=epoch).tokens[:, 0]) for epoch in range(8)
    ]
    assert len(set(firsts)) == 8


def test_the_target_is_what_follows_in_the_text(tmp_path: Path) -> None:
    shards = text_shards(tmp_path / "text", [30, 1, 17, 40])
    text = shards.gather(np.arange(shards.num_tokens)).tolist()
    pairs = set(zip(text, text[1:] + text[:1], strict=True))
    rows = all_rows(TextSource(name="text", shards=shards), row_length=8)
    found = set(zip(rows.tokens.ravel().tolist(), rows.targets.ravel().tolist(), strict=True))
    assert found <= pairs
    assert rows.loss_mask.all()


@pytest.mark.parametrize("epoch", range(4))
def test_a_separator_begins_a_new_document_of_the_row(epoch: int, tmp_path: Path) -> None:
    shards = text_shards(tmp_path / "text", [5, 1, 1, 17, 3, 20])
    rows = all_rows(TextSource(name="text", shards=shards), row_length=12, epoch=epoch)
    begins = rows.tokens == SEPARATOR
    begins[:, 0] = True
    assert (rows.documents == np.cumsum(begins, axis=1)).all()


def test_a_text_that_fills_no_row_is_an_error(tmp_path: Path) -> None:
    source = TextSource(name="tiny", shards=text_shards(tmp_path / "text", [8]))
    with pytest.raises(DataError, match=r"tiny has 8 tokens; a row takes 8 and one more"):
        source.open(row_length=8, seed=1)
    assert source.open(row_length=7, seed=1).num_rows == 1


def test_an_epoch_of_examples_predicts_each_id_once_and_within_its_example(tmp_path: Path) -> None:
    lengths = [2, 9, 3, 4, 4, 5, 7, 2]
    shards = example_shards(tmp_path / "examples", lengths)
    rows = all_rows(ExampleSource(name="examples", shards=shards), row_length=10)
    filled = rows.documents > 0
    found = zip(rows.tokens[filled].tolist(), rows.targets[filled].tolist(), strict=True)
    expected = []
    for index in range(len(lengths)):
        ids = shards.document(index).tolist()
        expected += list(pairwise(ids))
    assert sorted(found) == sorted(expected)


def test_the_loss_falls_on_what_the_examples_mark(tmp_path: Path) -> None:
    lengths = [2, 9, 3, 4, 4, 5, 7, 2]
    shards = example_shards(tmp_path / "examples", lengths)
    rows = all_rows(ExampleSource(name="examples", shards=shards), row_length=10)
    marked = set()
    for index in range(len(lengths)):
        marked |= set(shards.document(index)[1:][shards.learned(index)[1:]].tolist())
    assert set(rows.targets[rows.loss_mask].tolist()) == marked
    assert not rows.loss_mask[rows.documents == 0].any()


def test_examples_of_a_row_are_numbered_from_one_and_padding_is_zero(tmp_path: Path) -> None:
    lengths = [2, 9, 3, 4, 4, 5, 7, 2]
    shards = example_shards(tmp_path / "examples", lengths)
    owner = {int(token): index for index in range(len(lengths)) for token in shards.document(index)}
    rows = all_rows(ExampleSource(name="examples", shards=shards), row_length=10)
    for tokens, documents in zip(rows.tokens, rows.documents, strict=True):
        numbers = [int(number) for number in documents if number]
        assert numbers == sorted(numbers)
        assert set(numbers) == set(range(1, max(numbers) + 1))
        assert (documents[len(numbers) :] == 0).all()
        assert (tokens[len(numbers) :] == PADDING).all()
        owners = [owner[int(token)] for token in tokens[: len(numbers)]]
        assert len(set(zip(owners, numbers, strict=True))) == len(set(numbers)) == len(set(owners))


def test_an_example_longer_than_a_row_is_an_error_unless_a_policy_is_named(
    tmp_path: Path,
) -> None:
    shards = example_shards(tmp_path / "examples", [4, 12, 3])
    with pytest.raises(DataError, match="1 of 3 examples of chat are longer than a row"):
        ExampleSource(name="chat", shards=shards).open(row_length=6, seed=1)


def test_dropped_and_truncated_examples_are_counted(tmp_path: Path) -> None:
    shards = example_shards(tmp_path / "examples", [4, 12, 3])
    dropped = ExampleSource(name="chat", shards=shards, too_long="drop").open(row_length=6, seed=1)
    truncated = ExampleSource(name="chat", shards=shards, too_long="truncate").open(
        row_length=6, seed=1
    )
    assert isinstance(dropped, PackedExamples)
    assert isinstance(truncated, PackedExamples)
    assert (dropped.num_dropped, dropped.num_truncated, dropped.num_tokens) == (1, 0, 5)
    assert (truncated.num_dropped, truncated.num_truncated, truncated.num_tokens) == (0, 1, 11)
    assert 5 in truncated.rows(np.arange(truncated.num_rows)).tokens
    assert 5 not in dropped.rows(np.arange(dropped.num_rows)).tokens


def test_dropping_every_example_is_an_error(tmp_path: Path) -> None:
    shards = example_shards(tmp_path / "examples", [12, 13])
    with pytest.raises(DataError, match="all 2 examples of chat"):
        ExampleSource(name="chat", shards=shards, too_long="drop").open(row_length=6, seed=1)


def test_an_example_of_one_token_predicts_nothing_and_is_an_error(tmp_path: Path) -> None:
    shards = example_shards(tmp_path / "examples", [4, 1])
    with pytest.raises(DataError, match="example 1 of chat has one token"):
        ExampleSource(name="chat", shards=shards).open(row_length=6, seed=1)
