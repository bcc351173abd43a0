"""Rows that are being written: the first rows of one cache, with no gap between them."""

from collections.abc import Sequence
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from cutaway.inference.reading import Ready
from cutaway.inference.row import Row
from cutaway.models.decoder import Decoder
from cutaway.nn.cache import KeyValueCache

LENGTHS = 32
"""Slots of a row are made in multiples of this, so that the cache seldom grows."""


def slots_for(length: int, *, context_length: int) -> int:
    """How many slots a row of this length is given."""
    return min(context_length, -(-length // LENGTHS) * LENGTHS)


@final
class Running:
    """A row that joins goes to the end; the last row takes the place of one that leaves."""

    def __init__(self, model: Decoder, *, vocabulary: int, most_slots: int) -> None:
        """Ids from `vocabulary` on only pad the model's table; they are never chosen."""
        self._model, self._vocabulary = model, vocabulary
        self._most_slots = most_slots
        self.rows: list[Row] = []
        self._whole: KeyValueCache | None = None
        self._used: KeyValueCache | None = None  # the rows that run, of the whole

    def join(self, ready: Ready, *, expected: int) -> None:
        """Adds a row, and makes room for as many as are expected where that is allowed."""
        row, place = ready.row, len(self.rows)
        whole = self._with_room(rows=place + 1, expected=expected, length=row.length)
        whole.copy_row(place, source=ready.cache, source_row=ready.place, length=row.to_read)
        self.rows.append(row)
        self._used = None

    def leave(self, row: Row) -> None:
        """Takes a row out."""
        place, last = self.rows.index(row), self.rows[-1]
        if last is not row and self._whole is not None:
            self._whole.copy_row(
                place, source=self._whole, source_row=len(self.rows) - 1, length=last.read
            )
        self.rows[place] = last
        self.rows.pop()
        self._used = None
        if not self.rows:
            self._whole = None

    def clear(self) -> None:
        """Takes all rows out, and what a failure may have left in their slots."""
        self.rows.clear()
        self._whole = self._used = None

    def wipe(self, row: Row) -> None:
        """Zeroes what a row has stored: what is not a number would reach rows that come after."""
        if self._whole is not None:
            place = self.rows.index(row)
            for part in (*self._whole.keys, *self._whole.values):
                part[place] = 0

    @property
    def room(self) -> int:
        """Slots that the longest row has beside the one for its next token."""
        assert self._whole is not None
        return self._whole.capacity - 1 - max(row.read for row in self.rows)

    def logits(self, guesses: Sequence[Sequence[int]]) -> Float[Tensor, "B N V"]:
        """Reads each row's last token and what is guessed to follow it; returns what may follow
        each of them. What is behind a row's own guesses only pads them."""
        assert self._whole is not None
        if self._used is None:
            self._used = self._whole.first(len(self.rows))
        # Set anew: a pass that was interrupted, or guessed wrongly, has left no trace.
        self._used.set_lengths([row.read for row in self.rows])
        most = max(map(len, guesses))
        read = [
            [row.last, *guess, *[row.last] * (most - len(guess))]
            for row, guess in zip(self.rows, guesses, strict=True)
        ]
        tokens = torch.tensor(read, device=self._used.lengths.device)
        return self._model(tokens, cache=self._used)[..., : self._vocabulary]

    def answered(self, row: Row) -> Ready:
        """Where the keys and values of a row are."""
        assert self._whole is not None
        return Ready(row=row, cache=self._whole, place=self.rows.index(row))

    def _with_room(self, *, rows: int, expected: int, length: int) -> KeyValueCache:
        """The cache, made larger where it is too small."""
        old = self._whole
        length = slots_for(length, context_length=self._model.config.context_length)
        if old is not None:
            if rows <= len(old.lengths) and length <= old.capacity:
                return old
            length = max(length, old.capacity)
            # By half at least: small steps would copy everything often.
            had = len(old.lengths)
            expected = max(expected, had if rows <= had else had + had // 2)
        whole = self._model.new_cache(max(rows, min(expected, self._most_slots // length)), length)
        if old is not None:
            for place, row in enumerate(self.rows):
                whole.copy_row(place, source=old, source_row=place, length=row.read)
        self._whole = whole
        return whole
