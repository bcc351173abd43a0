"""Batches depend on the seed and the step alone: not on stops, not on the number of processes."""

import gc
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from cutaway.data.batches import TokenBatch
from cutaway.data.loaders import Loader, prefetch
from cutaway.data.shards import write_shards
from cutaway.data.sources import ExampleSource, RowMaker, Source, TextSource
from cutaway.errors import ConfigError

FIELDS = ("tokens", "targets", "loss_mask", "documents")


@pytest.fixture
def sources(tmp_path: Path) -> list[Source]:
    """Makes one text and one set of examples; ids of the text are below 500."""
    text = write_shards(
        [(list(range(length)), None) for length in (90, 40, 70)], tmp_path / "text", vocab_size=1000
    )
    examples = write_shards(
        [(list(range(500 + 5 * n, 505 + 5 * n)), [False] * 2 + [True] * 3) for n in range(60)],
        tmp_path / "examples",
        vocab_size=1000,
    )
    return [
        TextSource(name="text", shards=text, share=0.7),
        ExampleSource(name="examples", shards=examples, share=0.3, final_share=0.9),
    ]


def loader_of(sources: Sequence[Source], *, rank: int = 0, world: int = 1) -> Loader:
    return Loader(sources, rows=12, row_length=16, seed=5, rank=rank, world=world, change_steps=20)


def assert_equal(first: TokenBatch, second: TokenBatch) -> None:
    for name in FIELDS:
        assert torch.equal(getattr(first, name), getattr(second, name))


def rows_of(batch: TokenBatch) -> Counter[tuple[int, ...]]:
    joined = torch.cat([getattr(batch, name).long() for name in FIELDS], dim=1)
    return Counter(tuple(row) for row in joined.tolist())


def test_a_step_asked_for_alone_equals_the_step_of_an_unbroken_run(sources: list[Source]) -> None:
    unbroken = loader_of(sources)
    batches = [unbroken.batch(step) for step in range(30)]
    for step in (0, 1, 7, 19, 20, 29):
        assert_equal(loader_of(sources).batch(step), batches[step])


@pytest.mark.parametrize("world", [1, 2, 3, 4, 6, 12])
def test_any_number_of_processes_consumes_the_same_rows(world: int, sources: list[Source]) -> None:
    alone = loader_of(sources)
    together = [loader_of(sources, rank=rank, world=world) for rank in range(world)]
    for step in range(25):
        parts = [loader.batch(step) for loader in together]
        assert {len(part.tokens) for part in parts} == {12 // world}
        assert sum(map(rows_of, parts), Counter()) == rows_of(alone.batch(step))


def test_every_row_of_every_source_comes_once_per_epoch(sources: list[Source]) -> None:
    for source in sources:
        loader = Loader([source], rows=1, row_length=16, seed=5)
        count = loader.makers[0].num_rows
        assert count > 5
        for epoch in range(3):
            steps = range(epoch * count, (epoch + 1) * count)
            firsts = Counter(int(loader.batch(step).tokens[0, 0]) for step in steps)
            seen = sum((rows_of(loader.batch(step)) for step in steps), Counter())
            assert max(seen.values()) == 1
            assert sum(firsts.values()) == count


def test_the_order_of_the_rows_differs_between_seeds_and_epochs(sources: list[Source]) -> None:
    examples = sources[1]
    orders = set()
    for seed in range(3):
        loader = Loader([examples], rows=1, row_length=16, seed=seed)
        count = loader.makers[0].num_rows
        for epoch in range(3):
            steps = range(epoch * count, (epoch + 1) * count)
            orders.add(tuple(int(loader.batch(step).tokens[0, 0]) for step in steps))
    assert len(orders) == 9


def test_shares_change_as_they_were_told_to(sources: list[Source]) -> None:
    loader = loader_of(sources)

    def share_of_text(steps: range) -> float:
        batches = [loader.batch(step) for step in steps]
        return sum(float((b.tokens[:, 0] < 500).float().mean()) for b in batches) / len(steps)

    assert share_of_text(range(2)) == pytest.approx(0.7, abs=0.1)
    # The shares are weights: 0.7 against 0.9 at the end.
    assert share_of_text(range(20, 120)) == pytest.approx(0.7 / 1.6, abs=0.01)


def test_epochs_tell_how_often_a_source_was_read(sources: list[Source]) -> None:
    loader = Loader(sources[:1], rows=4, row_length=16, seed=5)
    assert loader.epochs(0) == {"text": 0.0}
    assert loader.epochs(6) == {"text": 24 / loader.makers[0].num_rows}


def test_prefetched_batches_equal_the_batches_asked_for(sources: list[Source]) -> None:
    loader = loader_of(sources)
    with prefetch(loader, 3, stop_step=9) as batches:
        for step, batch in enumerate(batches, start=3):
            assert_equal(batch, loader.batch(step))
    assert step == 8


def test_no_thread_outlives_its_iterator(sources: list[Source]) -> None:
    before = threading.active_count()
    with prefetch(loader_of(sources), 0) as batches:
        next(batches)
    assert threading.active_count() == before
    with pytest.raises(StopIteration):
        next(batches)


def test_a_forgotten_iterator_ends_its_thread(sources: list[Source]) -> None:
    batches = prefetch(loader_of(sources), 0)
    next(batches)
    (thread,) = [each for each in threading.enumerate() if each.name == "cutaway-prefetch"]
    del batches
    gc.collect()
    thread.join(timeout=30)
    assert not thread.is_alive()


def test_a_failure_in_the_background_is_raised_where_its_batch_is_asked_for(
    sources: list[Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    loader = loader_of(sources)
    whole = loader.batch

    def broken(step: int) -> TokenBatch:
        if step == 2:
            raise RuntimeError("the disk went away")
        return whole(step)

    monkeypatch.setattr(loader, "batch", broken)
    with prefetch(loader, 0) as batches:
        next(batches)
        next(batches)
        with pytest.raises(RuntimeError, match="the disk went away"):
            next(batches)


def test_rows_that_processes_cannot_share_are_refused(sources: list[Source]) -> None:
    with pytest.raises(ConfigError, match="12 rows cannot be shared evenly by 5 processes"):
        loader_of(sources, world=5)


def test_sources_of_one_name_are_refused(sources: list[Source]) -> None:
    with pytest.raises(ConfigError, match="names of their own"):
        loader_of([sources[0], sources[0]])


def test_a_batch_without_rows_is_refused(sources: list[Source]) -> None:
    with pytest.raises(ConfigError, match="holds nothing"):
        Loader(sources, rows=0, row_length=16, seed=5)


def test_row_makers_are_made_by_their_sources_alone() -> None:
    with pytest.raises(TypeError, match="abstract"):
        RowMaker(num_rows=1, num_tokens=1, seed=0)  # type: ignore[abstract]
