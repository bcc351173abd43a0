"""Pairs as batches: several side by side in a row, or one a row among others of like length.

Both are pure functions of the number of the step, as `loaders.py` says of its own.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from jaxtyping import Int64

from cutaway.data.batches import PairBatch
from cutaway.data.order import derived_seed, permuted, shuffled_places
from cutaway.data.packing import PairPacking, counted, pack_pairs, places_in_rows
from cutaway.data.pairs import PairShards
from cutaway.data.shards import Shards
from cutaway.errors import ConfigError, DataError

STEPS_OF_LIKE_LENGTH = 64
"""Steps whose pairs are drawn together and sorted by length: more wastes less and mixes less."""

MULTIPLE = 8
"""Padded lengths are multiples of this, so that few shapes occur."""


class PairLoader(ABC):
    """Makes batches of pairs; row i of a step goes to process i modulo `world`."""

    def __init__(self, shards: PairShards, *, rows: int, rank: int, world: int) -> None:
        if rows < 1 or rows % world:
            raise ConfigError(
                f"{rows} rows cannot be shared evenly by {world} processes\n"
                f"Give a number of rows that {world} divides."
            )
        self.rows = rows
        """Rows of a step, over all processes."""
        self._shards = shards
        self._rank, self._world = rank, world

    @property
    @abstractmethod
    def row_length(self) -> int:
        """The most places of a row, whichever side is longer."""

    @property
    @abstractmethod
    def longest(self) -> tuple[int, int]:
        """The most tokens of a source and of a target; longer pairs are left out."""

    @property
    @abstractmethod
    def steps_per_epoch(self) -> float:
        """Steps in which every pair is read once."""

    @abstractmethod
    def batch(self, step: int) -> PairBatch:
        """Makes this process's rows of step `step`, counted from 0."""

    def _own(self, rows: Int64[np.ndarray, " B"]) -> Int64[np.ndarray, " own"]:
        return rows[self._rank :: self._world]


class PackedPairs(PairLoader):
    """Pairs side by side in rows of one shape: hardly any padding, and one shape to compile for.

    The rows of the sources are as long as the data asks for, so that both sides fill up together.
    """

    def __init__(
        self,
        shards: PairShards,
        *,
        rows: int,
        row_length: int,
        context_length: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        super().__init__(shards, rows=rows, rank=rank, world=world)
        # Rows of sources are made as long as the longest source; those of targets are given.
        self._longest = (context_length, min(row_length, context_length))
        fitting = fitting_pairs(shards, source=self._longest[0], target=self._longest[1])
        self.num_left_out = shards.source.num_documents - len(fitting)
        """Pairs that are longer than a row, or than the model."""
        sources = shards.source.lengths[fitting]
        targets = shards.target.lengths[fitting] - 1
        self.lengths = (_source_length(sources, targets, row_length=row_length), row_length)
        """Places of a row of sources, and of targets."""
        self._seed = derived_seed(seed, "pairs")
        self.packing: PairPacking = pack_pairs(sources, targets, room=self.lengths, seed=self._seed)
        """Which pairs share a row."""
        order = fitting[self.packing.examples]
        self._begins = (shards.source.offsets[order], shards.target.offsets[order])
        self._sizes = (shards.source.lengths[order], shards.target.lengths[order] - 1)

    @property
    def row_length(self) -> int:
        """The most places of a row, whichever side is longer."""
        return max(self.lengths)

    @property
    def longest(self) -> tuple[int, int]:
        """The most tokens of a source and of a target; longer pairs are left out."""
        return self._longest

    @property
    def steps_per_epoch(self) -> float:
        """Steps in which every pair is read once."""
        return self.packing.num_rows / self.rows

    def batch(self, step: int) -> PairBatch:
        """Makes this process's rows of step `step`, counted from 0."""
        size = self.packing.num_rows
        rows = self._own(shuffled_places(step, count=self.rows, size=size, seed=self._seed))
        first = self.packing.starts[rows]
        counts = self.packing.starts[rows + 1] - first
        number = counted(counts)
        chosen = np.repeat(first, counts) + number
        source, documents = self._laid_out(0, chosen, counts=counts, number=number, shift=0)
        tokens, written = self._laid_out(1, chosen, counts=counts, number=number, shift=0)
        targets, _ = self._laid_out(1, chosen, counts=counts, number=number, shift=1)
        return PairBatch(
            source=torch.from_numpy(source),
            source_documents=torch.from_numpy(documents),
            tokens=torch.from_numpy(tokens),
            targets=torch.from_numpy(targets),
            loss_mask=torch.from_numpy(written > 0),
            documents=torch.from_numpy(written),
        )

    def _laid_out(
        self,
        side: Literal[0, 1],
        chosen: Int64[np.ndarray, " pairs"],
        *,
        counts: Int64[np.ndarray, " B"],
        number: Int64[np.ndarray, " pairs"],
        shift: int,
    ) -> tuple[Int64[np.ndarray, "B N"], Int64[np.ndarray, "B N"]]:
        """Puts one side's ids, from the `shift`-th of each text on, in rows with their numbers."""
        sizes, length = self._sizes[side][chosen], self.lengths[side]
        shards = (self._shards.source, self._shards.target)[side]
        positions = np.repeat(self._begins[side][chosen], sizes) + counted(sizes) + shift
        places = places_in_rows(sizes, counts=counts, row_length=length)
        ids = np.zeros((len(counts), length), dtype=np.int64)
        documents = np.zeros((len(counts), length), dtype=np.int64)
        ids.ravel()[places] = shards.gather(positions)
        documents.ravel()[places] = np.repeat(number + 1, sizes)
        return ids, documents


class BucketedPairs(PairLoader):
    """One pair a row, the rows of a step of like length: for models that read step by step.

    The pairs of some steps are drawn together and sorted by length; in which order those steps
    come is drawn, too.
    """

    def __init__(
        self,
        shards: PairShards,
        *,
        rows: int,
        context_length: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        super().__init__(shards, rows=rows, rank=rank, world=world)
        self._fitting = fitting_pairs(shards, source=context_length, target=context_length)
        self.num_left_out = shards.source.num_documents - len(self._fitting)
        """Pairs that are longer than the model."""
        self._seed = derived_seed(seed, "pairs")
        self._longest = context_length
        # A window has the same pairs for each of its steps.
        self._window: Callable[[int], Int64[np.ndarray, "steps rows"]] = lru_cache(maxsize=2)(
            self._drawn
        )

    @property
    def row_length(self) -> int:
        """The most places of a row, whichever side is longer."""
        return self._longest

    @property
    def longest(self) -> tuple[int, int]:
        """The most tokens of a source and of a target; longer pairs are left out."""
        return self._longest, self._longest

    @property
    def steps_per_epoch(self) -> float:
        """Steps in which every pair is read once."""
        return len(self._fitting) / self.rows

    def batch(self, step: int) -> PairBatch:
        """Makes this process's rows of step `step`, counted from 0."""
        window, place = divmod(step, STEPS_OF_LIKE_LENGTH)
        place = permuted(place, size=STEPS_OF_LIKE_LENGTH, seed=self._seed + 1, epoch=window)
        pairs = self._own(self._window(window)[place])
        source, documents = _padded(self._shards.source, pairs)
        # Of a target the first id is read only, and the last written only.
        target, written = _padded(self._shards.target, pairs, spare=1)
        learned = written[:, 1:] > 0
        return PairBatch(
            source=torch.from_numpy(source),
            source_documents=torch.from_numpy(documents),
            tokens=torch.from_numpy(np.where(learned, target[:, :-1], 0)),
            targets=torch.from_numpy(target[:, 1:].copy()),
            loss_mask=torch.from_numpy(learned),
            documents=torch.from_numpy(written[:, 1:].copy()),
        )

    def _drawn(self, window: int) -> Int64[np.ndarray, "steps rows"]:
        """Draws the pairs of a window and sorts them by the lengths of both sides."""
        places = shuffled_places(
            window,
            count=self.rows * STEPS_OF_LIKE_LENGTH,
            size=len(self._fitting),
            seed=self._seed,
        )
        pairs = self._fitting[places]
        lengths = self._shards.source.lengths[pairs], self._shards.target.lengths[pairs]
        order = np.lexsort((lengths[0], np.maximum(*lengths)))
        return pairs[order].reshape(STEPS_OF_LIKE_LENGTH, self.rows)


def fitting_pairs(shards: PairShards, *, source: int, target: int) -> Int64[np.ndarray, " pairs"]:
    """Returns the pairs whose sides have at most so many tokens.

    Raises:
        DataError: There is none.
    """
    sources, targets = shards.source.lengths, shards.target.lengths - 1
    fitting = np.flatnonzero((sources <= source) & (targets <= target))
    if not len(fitting):
        most = str(source) if source == target else f"{source} and {target}"
        raise DataError(
            f"all {len(sources):,} pairs are longer than the {most} tokens that a row or the model "
            f"takes: the shortest has {int(np.maximum(sources, targets).min())}\n"
            "Give a larger model.context_length (and pacing.row_length), or shorter texts."
        )
    return fitting


def _source_length(
    sources: Int64[np.ndarray, " pairs"], targets: Int64[np.ndarray, " pairs"], *, row_length: int
) -> int:
    """Chooses rows of sources that fill up when the rows of targets do, a little longer."""
    share = float(sources.sum()) / max(1, int(targets.sum()))
    wanted = max(int(sources.max()), round(row_length * share * 1.02))
    return -(-wanted // MULTIPLE) * MULTIPLE


def _padded(
    shards: Shards, pairs: Int64[np.ndarray, " B"], *, spare: int = 0
) -> tuple[Int64[np.ndarray, "B N"], Int64[np.ndarray, "B N"]]:
    """Puts one text into each row; returns the ids, and 1 where there are some.

    Without the `spare` ids the length is a multiple of `MULTIPLE`.
    """
    sizes = shards.lengths[pairs]
    length = -(-(int(sizes.max()) - spare) // MULTIPLE) * MULTIPLE + spare
    inside = np.arange(length) < sizes[:, None]
    ids = np.zeros(inside.shape, dtype=np.int64)
    ids[inside] = shards.gather(np.repeat(shards.offsets[pairs], sizes) + counted(sizes))
    return ids, inside.astype(np.int64)
