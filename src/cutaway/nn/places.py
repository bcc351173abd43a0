"""Rows of unequal length laid out so that padding takes no place: all first tokens, all second."""

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where each token of a batch stands when the rows are read side by side.

    Place after place, the longest row first: a step reads the rows that are not at their end, and
    they are the first ones. Torch's packed sequences have the same order.
    """

    sizes: Int[Tensor, " T"]
    """Rows that have a token at each place, on the CPU."""
    order: Int[Tensor, " B"]
    """The rows, the longest first."""
    index: Int[Tensor, " N"]
    """Where each token stands in the batch, its rows taken one after the other."""
    tokens: int
    """Tokens of a row of the batch, padding included."""

    @property
    def rows(self) -> int:
        """Counts the rows."""
        return len(self.order)

    @property
    def longest(self) -> int:
        """Counts the tokens of the longest row."""
        return len(self.sizes)

    @cached_property
    def row(self) -> Int[Tensor, " N"]:
        """Says of which row of the batch each token is."""
        return self.index // self.tokens

    @cached_property
    def lengths(self) -> Int[Tensor, " B"]:
        """Counts the tokens of each row."""
        return self.row.bincount(minlength=self.rows)

    @property
    def is_full(self) -> bool:
        """Whether all rows are equally long."""
        return len(self.index) == self.rows * self.longest

    def pack(self, x: Shaped[Tensor, "B T *D"]) -> Shaped[Tensor, "N *D"]:
        """Lays the tokens out and leaves the padding behind."""
        return x.flatten(0, 1)[self.index]

    def unpack(self, x: Float[Tensor, "N D"]) -> Float[Tensor, "B T D"]:
        """Puts the tokens back; the padding is zero."""
        empty = x.new_zeros(self.rows * self.tokens, x.shape[-1])
        return empty.index_copy(0, self.index, x).view(self.rows, self.tokens, -1)

    def reversed(self) -> "Places":
        """Returns the same rows read from behind: `unpack` puts each token back where it was."""
        place = self.index % self.tokens
        return replace(self, index=self.row * self.tokens + self.lengths[self.row] - 1 - place)

    def sort(self, x: Shaped[Tensor, "B *D"]) -> Shaped[Tensor, "B *D"]:
        """Puts rows into the order in which they are read."""
        return x if self.is_full else x[self.order]

    def unsort(self, x: Shaped[Tensor, "B *D"]) -> Shaped[Tensor, "B *D"]:
        """Puts rows back."""
        return x if self.is_full else torch.empty_like(x).index_copy(0, self.order, x)


def places_of(
    rows: int,
    tokens: int,
    *,
    lengths: Int[Tensor, " B"] | None = None,
    device: torch.device | str = "cpu",
) -> Places:
    """Says where tokens stand in rows of these lengths, or in rows that are full.

    Raises ValueError for a row that has no token.
    """
    place = torch.arange(tokens, device=device)[:, None]
    if lengths is None:
        order = torch.arange(rows, device=device)
        return Places(
            sizes=torch.full((tokens,), rows),
            order=order,
            index=(order * tokens + place).flatten(),
            tokens=tokens,
        )
    if bool((lengths < 1).any()):
        empty = int((lengths < 1).nonzero()[0])
        raise ValueError(f"row {empty} has no token; give every row at least one")
    order = lengths.argsort(descending=True, stable=True)
    exists = place < lengths[order]  # (T, B)
    sizes = exists.sum(dim=1).cpu()
    return Places(
        sizes=sizes[sizes > 0],
        order=order,
        index=(order * tokens + place)[exists],
        tokens=tokens,
    )
