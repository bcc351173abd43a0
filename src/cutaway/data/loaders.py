"""Batches as a pure function of (seed, step): the state of a loader is the number of the step.

Each step takes rows from every source in exact proportion to its share, and every process takes
its part of the same rows, so neither stopping nor the number of processes changes what is learned.
"""

import queue
import threading
import weakref
from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from jaxtyping import Shaped

from cutaway.data.batches import Batch, KindOfBatch, TokenBatch
from cutaway.data.mixing import Mixing
from cutaway.data.sources import Rows, Source
from cutaway.errors import ConfigError

KindRead = TypeVar("KindRead", bound=Batch, covariant=True)


@runtime_checkable
class Batches(Protocol[KindRead]):
    """What a training loop reads: a batch for each step, and for each step the same one."""

    @property
    def row_length(self) -> int:
        """The most places of a row, whichever side is longer."""

    def batch(self, step: int) -> KindRead:
        """Makes this process's rows of step `step`, counted from 0."""


class Loader:
    """A seeded mixture of sources; row i of a step goes to process i modulo `world`."""

    def __init__(
        self,
        sources: Sequence[Source],
        *,
        rows: int,
        row_length: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
        change_steps: int = 0,
    ) -> None:
        """Opens the sources.

        `rows` is the number of rows of a step over all processes, and `row_length` their tokens.
        Shares reach their final values at step `change_steps`.
        """
        check_rows(sources, rows=rows, row_length=row_length, rank=rank, world=world)
        self.rows = rows
        """Rows of a step, over all processes."""
        self.row_length = row_length
        """Tokens of a row."""
        self.sources = tuple(sources)
        """What is mixed."""
        self.makers = tuple(source.open(row_length=row_length, seed=seed) for source in sources)
        """What makes the rows of each source; their counts are for reports."""
        self._mixing = Mixing(
            shares=[source.share for source in sources],
            final_shares=[
                source.share if source.final_share is None else source.final_share
                for source in sources
            ],
            rows=rows,
            change_steps=change_steps,
        )
        self._rank = rank
        self._world = world

    def batch(self, step: int) -> TokenBatch:
        """Makes this process's rows of step `step`, counted from 0."""
        numbers = self._mixing.numbers(step, rank=self._rank, world=self._world)
        parts: list[Rows] = [
            maker.rows(taken)
            for maker, taken in zip(self.makers, numbers, strict=True)
            if len(taken)
        ]
        return TokenBatch(
            tokens=_joined([part.tokens for part in parts]),
            targets=_joined([part.targets for part in parts]),
            loss_mask=_joined([part.loss_mask for part in parts]),
            documents=_joined([part.documents for part in parts]),
        )

    def epochs(self, step: int) -> dict[str, float]:
        """Says how often each source has been read through before step `step`."""
        taken = self._mixing.taken(step)
        return {
            source.name: count / maker.num_rows
            for source, maker, count in zip(self.sources, self.makers, taken, strict=True)
        }


class Prefetch(Generic[KindOfBatch]):
    """Batches of consecutive steps, made ahead by one background thread.

    Use it in a `with` block, or close it; a failure of the thread is raised at the batch it
    belongs to.
    """

    def __init__(
        self,
        loader: Batches[KindOfBatch],
        *,
        start_step: int,
        stop_step: int | None = None,
        depth: int = 4,
    ) -> None:
        """Starts the thread, which keeps `depth` batches ready up to `stop_step` or for ever."""
        self._ready: queue.Queue[KindOfBatch | BaseException | None] = queue.Queue(maxsize=depth)
        self._closed = threading.Event()
        steps = range(start_step, 1 << 62 if stop_step is None else stop_step)
        # The thread must not hold this object, or an iterator left behind would never be collected.
        self._thread = threading.Thread(
            target=_make_ahead,
            args=(loader, steps, self._ready, self._closed),
            name="cutaway-prefetch",
            daemon=True,
        )
        self._finalizer = weakref.finalize(self, self._closed.set)
        self._thread.start()

    def __iter__(self) -> "Prefetch[KindOfBatch]":
        return self

    def __next__(self) -> KindOfBatch:
        if self._closed.is_set():
            raise StopIteration
        item = self._ready.get()
        if item is not None and not isinstance(item, BaseException):
            return item
        self.close()
        if item is None:
            raise StopIteration
        raise item

    def __enter__(self) -> "Prefetch[KindOfBatch]":
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the thread and waits for it."""
        self._closed.set()
        while not self._ready.empty():
            self._ready.get_nowait()
        self._thread.join()


def prefetch(
    loader: Batches[KindOfBatch], start_step: int, *, stop_step: int | None = None, depth: int = 4
) -> Prefetch[KindOfBatch]:
    """Iterates over the batches from `start_step` on, made ahead in the background."""
    return Prefetch(loader, start_step=start_step, stop_step=stop_step, depth=depth)


def check_rows(
    sources: Sequence[Source], *, rows: int, row_length: int, rank: int, world: int
) -> None:
    """Raises ConfigError where sources and rows make no batch."""
    if rows < 1 or row_length < 1:
        raise ConfigError(
            f"a batch of {rows} rows of {row_length} tokens holds nothing\nGive 1 or more of each."
        )
    if rows % world or not 0 <= rank < world:
        raise ConfigError(
            f"{rows} rows cannot be shared evenly by {world} processes (this one is {rank})\n"
            f"Give a number of rows that {world} divides."
        )
    names = [source.name for source in sources]
    if len(set(names)) != len(names):
        raise ConfigError(f"the sources {', '.join(names)} do not all have names of their own")


def _make_ahead(
    loader: Batches[KindOfBatch],
    steps: range,
    ready: "queue.Queue[KindOfBatch | BaseException | None]",
    closed: threading.Event,
) -> None:
    try:
        for step in steps:
            if closed.is_set() or not _handed_over(loader.batch(step), ready, closed):
                return
        _handed_over(None, ready, closed)
    except BaseException as failure:
        _handed_over(failure, ready, closed)


def _handed_over(
    item: KindOfBatch | BaseException | None,
    ready: "queue.Queue[KindOfBatch | BaseException | None]",
    closed: threading.Event,
) -> bool:
    """Waits for space, but no longer than the iterator lives."""
    while not closed.is_set():
        try:
            ready.put(item, timeout=0.05)
            return True
        except queue.Full:
            continue
    return False


def _joined(parts: list[Shaped[np.ndarray, "_ T"]]) -> torch.Tensor:
    return torch.from_numpy(parts[0] if len(parts) == 1 else np.concatenate(parts))
