"""Pairs are read once an epoch, whole, side by side or one a row, and from a step number alone."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cutaway.data.batches import PairBatch
from cutaway.data.packing import pack_pairs
from cutaway.data.pair_loaders import BucketedPairs, PackedPairs
from cutaway.data.pairs import PairData, PairShards, write_pairs
from cutaway.data.shards import write_shards
from cutaway.errors import ConfigError, DataError
from cutaway.tokenizer.characters import CharacterTokenizer

COUNT, END = 90, 0
LETTERS = CharacterTokenizer("abcdefghijklmnopqrstuvwxyz ")


@pytest.fixture
def shards(tmp_path: Path) -> PairShards:
    """Pair n: its source begins with 100 + n, its target with 200 + n; lengths of all kinds."""
    drawn = np.random.default_rng(1)

    def rows(first: int) -> Any:
        for number in range(COUNT):
            length = int(drawn.integers(1, 9))
            ids = [first + number, *drawn.integers(1, 90, length).tolist(), END]
            yield ([END, *ids] if first == 200 else ids), None

    return PairShards(
        source=write_shards(rows(100), tmp_path / "source", vocab_size=300),
        target=write_shards(rows(200), tmp_path / "target", vocab_size=300),
    )


def loaders(shards: PairShards, **rest: Any) -> dict[str, Any]:
    return {
        "packed": PackedPairs(shards, rows=3, row_length=24, context_length=24, seed=1, **rest),
        "bucketed": BucketedPairs(shards, rows=3, context_length=24, seed=1, **rest),
    }


def pairs_of(batch: PairBatch) -> list[tuple[list[int], list[int], list[int]]]:
    """Every pair of a batch: what is read, what the decoder reads, and what it is to write."""
    found = []
    for row in range(len(batch.source)):
        for number in range(1, int(batch.documents[row].max()) + 1):
            inside = batch.documents[row] == number
            assert batch.loss_mask[row][inside].all()
            read = batch.source[row][batch.source_documents[row] == number]
            found.append(
                (
                    read.tolist(),
                    batch.tokens[row][inside].tolist(),
                    batch.targets[row][inside].tolist(),
                )
            )
    return found


@pytest.mark.parametrize("kind", ["packed", "bucketed"])
def test_every_pair_stands_whole_with_its_own_target(shards: PairShards, kind: str) -> None:
    for step in range(40):
        for source, tokens, targets in pairs_of(loaders(shards)[kind].batch(step)):
            number = source[0] - 100
            assert source == shards.source.document(number).tolist()
            whole = shards.target.document(number).tolist()
            assert (tokens, targets) == (whole[:-1], whole[1:])


def test_packed_pairs_are_read_once_in_an_epoch(shards: PairShards) -> None:
    loader = PackedPairs(shards, rows=1, row_length=24, context_length=24, seed=1)
    for epoch in (0, 1):
        steps = range(epoch * loader.packing.num_rows, (epoch + 1) * loader.packing.num_rows)
        seen = [pair[0][0] for step in steps for pair in pairs_of(loader.batch(step))]
        assert sorted(seen) == list(range(100, 100 + COUNT))


def test_bucketed_pairs_are_read_equally_often(shards: PairShards) -> None:
    loader = BucketedPairs(shards, rows=3, context_length=24, seed=1)
    # 64 steps of 3 rows are 192 pairs: 15 windows are 32 epochs of 90.
    seen = Counter(pair[0][0] for step in range(960) for pair in pairs_of(loader.batch(step)))
    assert set(seen.values()) == {32}


def test_rows_of_a_step_are_of_like_length(shards: PairShards) -> None:
    loader = BucketedPairs(shards, rows=3, context_length=24, seed=1)
    spreads = []
    for step in range(64):
        batch = loader.batch(step)
        sides = [(each > 0).sum(dim=1) for each in (batch.source_documents, batch.documents)]
        lengths = torch.maximum(*sides)
        spreads.append(int(lengths.max() - lengths.min()))
    assert np.mean(spreads) < 1.0


def test_packed_rows_are_nearly_full() -> None:
    drawn = np.random.default_rng(0)
    lengths = drawn.integers(4, 31, (2, 4000))
    packing = pack_pairs(lengths[0], lengths[1], room=(128, 128))
    assert sorted(packing.examples) == list(range(4000))
    for row in range(packing.num_rows):
        inside = packing.examples[packing.starts[row] : packing.starts[row + 1]]
        assert (lengths[:, inside].sum(axis=1) <= 128).all()
    assert lengths.sum() / (256 * packing.num_rows) > 0.94


@pytest.mark.parametrize("kind", ["packed", "bucketed"])
def test_a_step_depends_on_its_number_alone(shards: PairShards, kind: str) -> None:
    forward = [loaders(shards)[kind].batch(step) for step in range(70)]
    loader = loaders(shards)[kind]
    for step in (69, 3, 64, 0):
        assert loader.batch(step).source.equal(forward[step].source)
        assert loader.batch(step).targets.equal(forward[step].targets)


@pytest.mark.parametrize("kind", ["packed", "bucketed"])
def test_several_processes_read_the_same_rows_as_one(shards: PairShards, kind: str) -> None:
    alone = loaders(shards)[kind]
    parts = [loaders(shards, rank=rank, world=3)[kind] for rank in range(3)]
    for step in (0, 5, 66):
        expected = pairs_of(alone.batch(step))
        assert sorted(pair for part in parts for pair in pairs_of(part.batch(step))) == sorted(
            expected
        )


def test_pairs_longer_than_the_model_are_left_out_and_counted(shards: PairShards) -> None:
    loader = BucketedPairs(shards, rows=1, context_length=8, seed=1)
    longest = np.maximum(shards.source.lengths, shards.target.lengths - 1)
    assert loader.num_left_out == int((longest > 8).sum()) > 0
    with pytest.raises(DataError, match="all 90 pairs are longer than the 2 tokens"):
        BucketedPairs(shards, rows=1, context_length=2, seed=1)


def test_a_source_may_be_longer_than_a_row_of_targets(shards: PairShards) -> None:
    shortest = int((shards.target.lengths - 1).min())
    loader = PackedPairs(shards, rows=1, row_length=shortest, context_length=24, seed=1)
    assert loader.num_left_out == int((shards.target.lengths - 1 > shortest).sum())
    assert loader.longest == (24, shortest)
    fitting = shards.target.lengths - 1 <= shortest
    assert loader.lengths[0] >= int(shards.source.lengths[fitting].max()) > shortest
    assert loader.lengths[1] == shortest


def test_rows_that_cannot_be_shared_are_refused(shards: PairShards) -> None:
    with pytest.raises(ConfigError, match="4 rows cannot be shared evenly by 3 processes"):
        BucketedPairs(shards, rows=4, context_length=24, seed=1, world=3)


def test_a_source_ends_and_a_target_begins_and_ends(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    rows = [{"source": f"word {letter}", "target": letter} for letter in "abcdefgh"]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = PairData(data=str(path))
    found = write_pairs(data, LETTERS, folder=tmp_path / "ids")
    held_out = [pair.source for pair in data.pairs("validation")]
    assert found.source.num_documents == len(rows) - len(held_out)
    end = LETTERS.begin_id
    texts = list(data.pairs("train"))
    for number, pair in enumerate(texts):
        assert found.source.document(number).tolist() == [*LETTERS.encode(pair.source), end]
        assert found.target.document(number).tolist() == [end, *LETTERS.encode(pair.target), end]
    before = (tmp_path / "ids").stat().st_mtime_ns
    again = write_pairs(data, LETTERS, folder=tmp_path / "ids")
    assert again.fingerprint == found.fingerprint
    assert (tmp_path / "ids").stat().st_mtime_ns == before
    few = write_pairs(data, LETTERS, folder=tmp_path / "ids", most=3)
    assert few.source.num_documents == 3


def test_micro_batches_and_devices_keep_every_field(shards: PairShards) -> None:
    batch = loaders(shards)["packed"].batch(0)
    chunks = batch.to("cpu").chunks(2)
    assert [len(chunk.source) for chunk in chunks] == [2, 1]
    assert torch.cat([chunk.targets for chunk in chunks]).equal(batch.targets)
    assert batch.num_tokens == batch.source.numel() + batch.tokens.numel()
