"""Where the rows of a batch come from: windows of a long text, or short examples packed whole.

A source numbers its rows without end. Row n of the epoch-long round n // num_rows is taken from a
shuffled order of its own, so any row can be made at any time from its number alone.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Int64

from cutaway.data.order import derived_seed, permuted, permuted_array
from cutaway.data.packing import counted, pack, places_in_rows
from cutaway.data.shards import Shards
from cutaway.errors import DataError


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Rows of a batch as arrays; the dimensions and meanings are those of TokenBatch."""

    tokens: Int64[np.ndarray, "B T"]
    """Ids that go in."""
    targets: Int64[np.ndarray, "B T"]
    """The id that follows each token."""
    loss_mask: Bool[np.ndarray, "B T"]
    """True where the target is learned from."""
    documents: Int64[np.ndarray, "B T"]
    """1, 2, 3, ... within the row; 0 is padding."""


class RowMaker(ABC):
    """Makes the rows of one source; a row is a pure function of its number."""

    def __init__(self, *, num_rows: int, num_tokens: int, seed: int) -> None:
        self.num_rows = num_rows
        """Rows of one epoch."""
        self.num_tokens = num_tokens
        """Tokens in the rows of one epoch, padding left out."""
        self._seed = seed

    def rows(self, numbers: Int64[np.ndarray, " B"]) -> Rows:
        """Makes the rows with these numbers."""
        epochs, places = np.divmod(numbers, self.num_rows)
        shuffled = np.empty_like(places)
        for epoch in np.unique(epochs):
            chosen = epochs == epoch
            shuffled[chosen] = permuted_array(
                places[chosen], size=self.num_rows, seed=self._seed, epoch=int(epoch)
            )
        return self._rows(epochs, shuffled)

    @abstractmethod
    def _rows(self, epochs: Int64[np.ndarray, " B"], places: Int64[np.ndarray, " B"]) -> Rows:
        """Makes rows from their epochs and their places in the unshuffled order."""


@dataclass(frozen=True, kw_only=True)
class Source(ABC):
    """One part of the mixture that a model learns from."""

    name: str
    """What reports call it; its order depends on it, so names differ."""
    shards: Shards
    """Its token ids."""
    share: float = 1.0
    """Weight among the sources, 0 or more; the weights are divided by their sum."""
    final_share: float | None = None
    """Weight from the loader's `change_steps` on, reached evenly; None: `share` throughout."""

    @abstractmethod
    def open(self, *, row_length: int, seed: int) -> RowMaker:
        """Prepares the rows for this row length (tokens) and seed."""


@dataclass(frozen=True, kw_only=True)
class TextSource(Source):
    """Long text, cut into windows that move from epoch to epoch.

    Every document starts with its separator token, so the last target of a document is the
    separator of the next: where a text ends is learned too.
    """

    def open(self, *, row_length: int, seed: int) -> RowMaker:
        """Prepares the windows."""
        return TextWindows(
            self.shards, name=self.name, row_length=row_length, seed=derived_seed(seed, self.name)
        )


@dataclass(frozen=True, kw_only=True)
class ExampleSource(Source):
    """Short examples, each whole within one row; no example sees or predicts another."""

    too_long: Literal["error", "drop", "truncate"] = "error"
    """What happens to an example that no row can hold: it stops the run, is left out, or is cut."""

    def open(self, *, row_length: int, seed: int) -> RowMaker:
        """Packs the examples into rows."""
        return PackedExamples(
            self.shards,
            name=self.name,
            row_length=row_length,
            seed=derived_seed(seed, self.name),
            too_long=self.too_long,
        )


class TextWindows(RowMaker):
    """Windows side by side over the whole text, which is read as a ring.

    In each epoch the first window starts elsewhere, so a model sees each place of the text with
    other beginnings, and the remainder that fills no window is another one each time.
    """

    def __init__(self, shards: Shards, *, name: str, row_length: int, seed: int) -> None:
        if shards.num_tokens <= row_length:
            raise DataError(
                f"the text of {name} has {shards.num_tokens} tokens; a row takes {row_length} and "
                "one more to predict\nGive more text, or a shorter row."
            )
        num_rows = shards.num_tokens // row_length
        super().__init__(num_rows=num_rows, num_tokens=num_rows * row_length, seed=seed)
        self._shards = shards
        self._row_length = row_length

    def _rows(self, epochs: Int64[np.ndarray, " B"], places: Int64[np.ndarray, " B"]) -> Rows:
        length, total = self._row_length, self._shards.num_tokens
        starts = places * length
        for epoch in np.unique(epochs):
            cycle, place = divmod(int(epoch), length)
            # The first epoch starts at a place of its own too: nothing depends on the beginning.
            starts[epochs == epoch] += permuted(
                place, size=length, seed=self._seed + 1, epoch=cycle
            )
        starts %= total
        positions = (starts[:, None] + np.arange(length + 1)) % total
        ids = self._shards.gather(positions)
        return Rows(
            tokens=np.ascontiguousarray(ids[:, :-1]),
            targets=np.ascontiguousarray(ids[:, 1:]),
            loss_mask=self._shards.gather_learned(positions[:, 1:]),
            documents=self._documents(starts),
        )

    def _documents(self, starts: Int64[np.ndarray, " B"]) -> Int64[np.ndarray, "B T"]:
        """Counts the documents of each row from 1."""
        length, total = self._row_length, self._shards.num_tokens
        offsets = self._shards.offsets
        begins = np.zeros((len(starts), length), dtype=np.int64)
        begins[:, 0] = 1
        first = np.searchsorted(offsets, starts, side="right")
        last = np.searchsorted(offsets, starts + length, side="left")
        for row, start in enumerate(starts):
            # The end of the text is the last offset, and at the same time the first begin.
            begins[row, offsets[first[row] : last[row]] - start] = 1
            if start + length > total:
                wrapped = offsets[: np.searchsorted(offsets, start + length - total, side="left")]
                begins[row, wrapped + (total - start)] = 1
        return np.cumsum(begins, axis=1)


class PackedExamples(RowMaker):
    """Whole examples side by side, with padding where nothing fits.

    An example of n ids takes n - 1 places: its last id is predicted, and predicts nothing.
    """

    def __init__(
        self,
        shards: Shards,
        *,
        name: str,
        row_length: int,
        seed: int,
        too_long: Literal["error", "drop", "truncate"],
    ) -> None:
        places = shards.lengths - 1
        if int(places.min()) < 1:
            raise DataError(
                f"example {int(places.argmin())} of {name} has one token: there is nothing to "
                "predict\nLeave such examples out."
            )
        longer = places > row_length
        num_longer = int(longer.sum())
        if num_longer and too_long == "error":
            raise DataError(
                f"{num_longer} of {len(places)} examples of {name} are longer than a row: the "
                f"longest has {int(places.max()) + 1} tokens, a row takes {row_length + 1}\n"
                'Give longer rows, or too_long = "drop" or "truncate".'
            )
        kept = np.flatnonzero(~longer) if too_long == "drop" else np.arange(len(places))
        if len(kept) == 0:
            raise DataError(
                f"all {len(places)} examples of {name} are longer than a row of {row_length} tokens"
                "\nGive longer rows (a model with a longer context), or shorter examples."
            )
        self.num_dropped = num_longer if too_long == "drop" else 0
        """Examples left out because no row can hold them."""
        self.num_truncated = num_longer if too_long == "truncate" else 0
        """Examples whose end was cut off."""
        self.packing = pack(np.minimum(places[kept], row_length), row_length=row_length, seed=seed)
        """Which of the kept examples share a row."""
        super().__init__(
            num_rows=self.packing.num_rows, num_tokens=self.packing.num_tokens, seed=seed
        )
        self._shards = shards
        self._row_length = row_length
        # In the order of the rows, so that one row's examples are one slice.
        self._begins = shards.offsets[kept][self.packing.examples]
        self._sizes = np.minimum(places[kept], row_length)[self.packing.examples]

    def _rows(self, epochs: Int64[np.ndarray, " B"], places: Int64[np.ndarray, " B"]) -> Rows:
        first = self.packing.starts[places]
        counts = self.packing.starts[places + 1] - first
        number_in_row = counted(counts)
        examples = np.repeat(first, counts) + number_in_row
        sizes = self._sizes[examples]
        positions = np.repeat(self._begins[examples], sizes) + counted(sizes)
        flat = places_in_rows(sizes, counts=counts, row_length=self._row_length)
        shape = (len(places), self._row_length)
        tokens = np.zeros(shape, dtype=np.int64)
        targets = np.zeros(shape, dtype=np.int64)
        loss_mask = np.zeros(shape, dtype=np.bool_)
        documents = np.zeros(shape, dtype=np.int64)
        tokens.ravel()[flat] = self._shards.gather(positions)
        targets.ravel()[flat] = self._shards.gather(positions + 1)
        loss_mask.ravel()[flat] = self._shards.gather_learned(positions + 1)
        documents.ravel()[flat] = np.repeat(number_in_row + 1, sizes)
        return Rows(tokens=tokens, targets=targets, loss_mask=loss_mask, documents=documents)
