"""Prompts that are being read: together where they are alike, a bounded piece at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch

from cutaway.inference.row import Row
from cutaway.models.decoder import Decoder
from cutaway.nn.cache import KeyValueCache


@final
@dataclass(frozen=True, kw_only=True)
class Ready:
    """A row whose prompt was read, and where its keys and values are."""

    row: Row
    cache: KeyValueCache
    place: int
    """The row of the cache."""


@final
class Reading:
    """Rows that begin at the same token and are read side by side, padded on the right."""

    def __init__(self, model: Decoder, rows: Sequence[Row]) -> None:
        """The rows have as many tokens in blocks, all of them the same number."""
        self._model = model
        self.rows = list(rows)
        self._places = list(range(len(rows)))  # the row of the cache of each row that is left
        self.read = rows[0].cached_tokens
        self.cache = model.new_cache(len(rows), max(1, *(row.to_read for row in rows)))
        self.cache.set_lengths([self.read] * len(rows))

    @property
    def left(self) -> int:
        """Tokens that the longest row has yet to read."""
        return max((row.to_read for row in self.rows), default=0) - self.read

    def drop(self, row: Row) -> None:
        """Leaves a row out."""
        place = self.rows.index(row)
        del self.rows[place], self._places[place]

    def read_on(self, most_tokens: int) -> int:
        """Reads a piece of every row; returns the tokens that it took, padding included."""
        width = min(self.left, max(1, most_tokens // len(self.rows)))
        if width == 0:
            return 0
        if len(self._places) < len(self.cache.lengths):
            self.cache.keep(self._places)
            self._places = list(range(len(self.rows)))
        end = self.read + width
        pieces = [list(row.request.prompt[self.read : min(end, row.to_read)]) for row in self.rows]
        counts = [len(piece) for piece in pieces]
        device = self.cache.lengths.device
        padded = [piece + [0] * (width - len(piece)) for piece in pieces]
        documents = None
        if min(counts) < width:
            used = torch.tensor(counts, device=device)[:, None]
            documents = (torch.arange(width, device=device) < used).long()
        # Set anew: a pass that was interrupted has left no trace.
        self.cache.set_lengths([self.read] * len(self.rows))
        self._model.hidden(
            torch.tensor(padded, device=device), documents=documents, cache=self.cache
        )
        self.read = end
        return width * len(self.rows)

    def take_ready(self) -> list[Ready]:
        """Takes out the rows whose prompts are read."""
        ready = [
            Ready(row=row, cache=self.cache, place=place)
            for row, place in zip(self.rows, self._places, strict=True)
            if row.to_read <= self.read
        ]
        for found in ready:
            self.drop(found.row)
        return ready
