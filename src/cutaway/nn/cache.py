"""Keys and values of the tokens already read, so that one more token costs one token."""

from collections.abc import Sequence
from copy import copy

import torch
from jaxtyping import Float, Int
from torch import Tensor


class LayerCache:
    """The keys and values of one layer, in rows that may have different lengths."""

    def __init__(self, owner: "KeyValueCache", layer: int) -> None:
        self._owner = owner
        self._layer = layer

    def append(
        self, key: Float[Tensor, "B G T C"], value: Float[Tensor, "B G T C"]
    ) -> tuple[Float[Tensor, "B G K C"], Float[Tensor, "B G K C"]]:
        """Stores new keys and values at each row's end and returns all that any row may read."""
        owner, layer, tokens = self._owner, self._layer, key.shape[2]
        end = owner.longest + tokens
        if owner.is_even:
            owner.keys[layer][:, :, owner.longest : end] = key
            owner.values[layer][:, :, owner.longest : end] = value
        else:
            slots = owner.positions(tokens)[:, None, :, None].expand_as(key)
            # Under autocast they may come in a lower precision than the cache is kept in.
            owner.keys[layer].scatter_(2, slots, key.to(owner.keys[layer].dtype))
            owner.values[layer].scatter_(2, slots, value.to(owner.values[layer].dtype))
        return owner.keys[layer][:, :, :end], owner.values[layer][:, :, :end]


class KeyValueCache:
    """A fixed number of slots for each layer and row; `lengths` counts those in use.

    Rows are left-aligned. A prompt shorter than its batch is padded on the right: what is written
    for the padding lies beyond the row's length, where no query may look, until it is overwritten.
    """

    def __init__(
        self,
        *,
        layers: int,
        rows: int,
        length: int,
        key_value_heads: int,
        head_width: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        shape = (rows, key_value_heads, length, head_width)
        self.keys = [torch.zeros(shape, dtype=dtype, device=device) for _ in range(layers)]
        self.values = [torch.zeros(shape, dtype=dtype, device=device) for _ in range(layers)]
        self.lengths: Int[Tensor, " B"] = torch.zeros(rows, dtype=torch.int64, device=device)
        self.tokens: Int[Tensor, "B length"] = torch.full(
            (rows, length), -1, dtype=torch.int64, device=device
        )
        self.longest = 0
        self.is_even = True
        self.capacity = length

    def layer(self, index: int) -> LayerCache:
        """Returns the view that one attention layer writes to and reads from."""
        return LayerCache(self, index)

    def positions(self, tokens: int) -> Int[Tensor, "B T"]:
        """Returns the positions that the next `tokens` tokens of each row will take."""
        return self.lengths[:, None] + torch.arange(tokens, device=self.lengths.device)

    def require(self, tokens: int) -> None:
        """Raises ValueError when the longest row has no room for `tokens` more."""
        if self.longest + tokens > self.capacity:
            raise ValueError(
                f"cache holds {self.capacity} tokens, but token {self.longest + tokens} was added; "
                "make a longer cache or a shorter prompt"
            )

    def remember(self, tokens: Int[Tensor, "B T"], *, count: int) -> Int[Tensor, "B T N"]:
        """Stores ids about to be read; returns the `count` before each, nearest first, or -1."""
        slots = self.positions(tokens.shape[1])
        self.tokens.scatter_(1, slots, tokens)
        before = slots[..., None] - 1 - torch.arange(count, device=slots.device)
        found = self.tokens.gather(1, before.clamp(min=0).flatten(1)).view_as(before)
        return torch.where(before >= 0, found, -1)

    def advance(self, counts: Int[Tensor, " B"] | int) -> None:
        """Counts the tokens that a forward pass has appended, after all layers stored them."""
        self.lengths = self.lengths + counts
        if isinstance(counts, int):
            self.longest += counts
        else:
            self.longest = int(self.lengths.max())
            self.is_even = bool((self.lengths == self.longest).all())

    def keep(self, rows: Sequence[int] | Int[Tensor, " R"]) -> None:
        """Keeps the given rows, in the given order; a row may be kept twice (beam search)."""
        index = torch.as_tensor(rows, dtype=torch.int64, device=self.lengths.device)
        if self.is_even:
            # Beyond the rows' end nothing need be copied.
            self.keys = [_rows_of(key, index, used=self.longest) for key in self.keys]
            self.values = [_rows_of(value, index, used=self.longest) for value in self.values]
        else:
            self.keys = [key[index] for key in self.keys]
            self.values = [value[index] for value in self.values]
        self.tokens = self.tokens[index]
        self.lengths = self.lengths[index]
        self.longest = int(self.lengths.max()) if len(index) else 0
        self.is_even = bool((self.lengths == self.longest).all())

    def first(self, rows: int) -> "KeyValueCache":
        """Returns a cache of the first rows that shares the slots with this one."""
        part = copy(self)
        part.keys = [key[:rows] for key in self.keys]
        part.values = [value[:rows] for value in self.values]
        part.tokens = self.tokens[:rows]
        part.set_lengths([0] * rows)
        return part

    def set_lengths(self, lengths: Sequence[int]) -> None:
        """Says how many slots of each row are in use."""
        self.lengths = torch.tensor(lengths, dtype=torch.int64, device=self.tokens.device)
        self.longest = max(lengths, default=0)
        self.is_even = all(length == self.longest for length in lengths)

    def copy_row(self, row: int, *, source: "KeyValueCache", source_row: int, length: int) -> None:
        """Copies the first slots of a row of another cache, or of this one, into a row."""
        for ours, theirs in ((self.keys, source.keys), (self.values, source.values)):
            for target, layer in zip(ours, theirs, strict=True):
                target[row, :, :length] = layer[source_row, :, :length]
        self.tokens[row, :length] = source.tokens[source_row, :length]


def _rows_of(
    slots: Float[Tensor, "B G length C"], rows: Int[Tensor, " R"], *, used: int
) -> Float[Tensor, "R G length C"]:
    # Not left as memory happens to be: a row that stays shorter than the others is read with what
    # lies beyond its end at a weight of 0, and 0 times what is not a number is not a number.
    found = slots.new_zeros((len(rows), *slots.shape[1:]))
    found[:, :, :used] = slots[:, :, :used].index_select(0, rows)
    return found


class MemoryLayer:
    """The keys and values that one layer made of a memory: made once, read at every token."""

    def __init__(self) -> None:
        self.kept: tuple[Float[Tensor, "M H S C"], Float[Tensor, "M H S C"]] | None = None

    def keep(self, key: Float[Tensor, "M H S C"], value: Float[Tensor, "M H S C"]) -> None:
        """Stores what the layer has made."""
        self.kept = key, value

    def keep_rows(self, rows: Int[Tensor, " M"]) -> None:
        """Keeps the given rows of the memory, in the given order."""
        if self.kept is not None:
            key, value = self.kept
            self.kept = key[rows], value[rows]


class BeamLayer:
    """The keys and values of one layer, of rows that go on from each other."""

    def __init__(self, owner: "BeamCache", layer: int) -> None:
        self._owner, self._layer = owner, layer

    def append(
        self, key: Float[Tensor, "B G T C"], value: Float[Tensor, "B G T C"]
    ) -> tuple[Float[Tensor, "B G K C"], Float[Tensor, "B G K C"]]:
        """Stores new keys and values at each row's end; returns all that each row goes on from."""
        owner = self._owner
        begin, end = owner.longest, owner.longest + key.shape[2]
        lineage = owner.lineage[: len(key), :end]
        places = (lineage * owner.capacity + torch.arange(end, device=lineage.device)).flatten()

        def stored(slots: Float[Tensor, "R length G C"], new: Tensor) -> Float[Tensor, "B G K C"]:
            slots[: len(new), begin:end] = new.transpose(1, 2)
            found = slots.flatten(0, 1).index_select(0, places)
            return found.view(len(new), end, *slots.shape[2:]).transpose(1, 2)

        return (
            stored(owner.keys[self._layer], key),
            stored(owner.values[self._layer], value),
        )


class BeamCache:
    """Slots of rows of one length that change places at every token (beam search).

    Nothing is moved: a row writes into its own slots, and `lineage` says for each slot of a row in
    which row it lies. A slot that is written is never written again, whoever goes on from it.
    """

    def __init__(
        self,
        *,
        layers: int,
        rows: int,
        length: int,
        key_value_heads: int,
        head_width: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        shape = (rows, length, key_value_heads, head_width)
        self.keys = [torch.zeros(shape, dtype=dtype, device=device) for _ in range(layers)]
        self.values = [torch.zeros(shape, dtype=dtype, device=device) for _ in range(layers)]
        own = torch.arange(rows, device=device)
        self.lineage: Int[Tensor, "B length"] = own[:, None].repeat(1, length)
        self.longest = 0
        self.capacity = length

    def layer(self, index: int) -> BeamLayer:
        """Returns the view that one attention layer writes to and reads from."""
        return BeamLayer(self, index)

    def positions(self, tokens: int) -> Int[Tensor, "B T"]:
        """Returns the positions that the next `tokens` tokens of each row will take."""
        end = self.longest + tokens
        one = torch.arange(self.longest, end, device=self.lineage.device)
        return one.expand(len(self.lineage), tokens)

    def require(self, tokens: int) -> None:
        """Raises ValueError when the rows have no room for `tokens` more."""
        if self.longest + tokens > self.capacity:
            raise ValueError(
                f"cache holds {self.capacity} tokens, but token {self.longest + tokens} was added; "
                "make a longer cache or a shorter prompt"
            )

    def advance(self, count: int) -> None:
        """Counts the tokens that a forward pass has appended, after all layers stored them."""
        self.longest += count

    def keep(self, rows: Int[Tensor, " R"]) -> None:
        """Lets row r go on from the given one; there may be fewer rows than before, never more."""
        self.lineage = self.lineage[rows]
        # What comes is written into the row's own slots, which are free from here on.
        self.lineage[:, self.longest :] = torch.arange(len(rows), device=rows.device)[:, None]


class CrossCache:
    """What a decoder with a memory keeps: its own keys and values, and those of the memory."""

    def __init__(self, own: BeamCache, *, layers: int) -> None:
        self.own = own
        self.memory = [MemoryLayer() for _ in range(layers)]

    def keep(self, rows: Int[Tensor, " R"], *, sources: Int[Tensor, " N"] | None = None) -> None:
        """Keeps the given rows in the given order; `sources` are the memory's rows they read."""
        self.own.keep(rows)
        if sources is not None:
            for layer in self.memory:
                layer.keep_rows(sources)
