"""Keys and values of the beginnings that prompts share, copied out of and into rows."""

from collections.abc import Sequence
from typing import final

import torch

from cutaway.inference.blocks import BLOCK, BlockPool
from cutaway.models.decoder import Decoder
from cutaway.nn.cache import KeyValueCache


@final
class Beginnings:
    """A pool of blocks with what is in them.

    Rows are dense, so that attention reads them without gathering: blocks are copied. What is
    shared is the work of reading a prompt, not the memory of a row that runs.
    """

    def __init__(self, model: Decoder, *, most_bytes: int) -> None:
        slot = model.new_cache(1, 1)
        token_bytes = sum(part.nbytes for part in (*slot.keys, *slot.values))
        self.pool = BlockPool(most_bytes // (BLOCK * token_bytes))
        self._keys: list[torch.Tensor] = []  # one for each layer, (blocks, G, BLOCK, C)
        self._values: list[torch.Tensor] = []

    def save(
        self, names: Sequence[bytes], *, first: int, cache: KeyValueCache, row: int
    ) -> list[int]:
        """Holds blocks of these names and fills them from a row; `first` is the first's place.

        They may be fewer than the names, where the pool has no more to give.
        """
        blocks: list[int] = []
        new: list[int] = []
        self._allocate(cache)
        for place, name in enumerate(names):
            is_new = not self.pool.has(name)
            block = self.pool.take(name)
            if block is None:
                break
            blocks.append(block)
            if is_new:
                new.append(place)
        try:
            self._fill(
                [blocks[place] for place in new],
                places=[first + place for place in new],
                cache=cache,
                row=row,
            )
        except BaseException:
            # Interrupted halfway: what a name stands for must be right or not there.
            self.pool.release(blocks)
            self.pool.forget([names[place] for place in new])
            raise
        return blocks

    def load(
        self, blocks: Sequence[int], *, tokens: Sequence[int], cache: KeyValueCache, row: int
    ) -> None:
        """Fills the beginning of a row with blocks; `tokens` are the ids in them."""
        end = len(blocks) * BLOCK
        for kept, target in ((self._keys, cache.keys), (self._values, cache.values)):
            for blocked, layer in zip(kept, target, strict=True):
                taken = blocked[list(blocks)].transpose(0, 1)  # (G, blocks, BLOCK, C)
                layer[row, :, :end] = taken.flatten(1, 2)
        cache.tokens[row, :end] = torch.tensor(tokens[:end], device=cache.tokens.device)

    def reset(self) -> None:
        """Forgets everything, what is held too."""
        self.pool = BlockPool(self.pool.count)

    def _fill(
        self, blocks: Sequence[int], *, places: Sequence[int], cache: KeyValueCache, row: int
    ) -> None:
        if not blocks:
            return
        slots = torch.tensor(places)[:, None] * BLOCK + torch.arange(BLOCK)
        slots = slots.flatten().to(cache.lengths.device)
        for kept, source in ((self._keys, cache.keys), (self._values, cache.values)):
            for blocked, layer in zip(kept, source, strict=True):
                taken = layer[row].index_select(1, slots)  # (G, blocks * BLOCK, C)
                heads, _, channels = taken.shape
                blocked[list(blocks)] = taken.view(heads, -1, BLOCK, channels).transpose(0, 1)

    def _allocate(self, like: KeyValueCache) -> None:
        # Not before it is needed: on the CPU untouched memory costs nothing, on others it does.
        if not self._keys and self.pool.count:
            for layer in like.keys:
                _, heads, _, channels = layer.shape
                shape = (self.pool.count, heads, BLOCK, channels)
                self._keys.append(torch.empty(shape, dtype=layer.dtype, device=layer.device))
                self._values.append(torch.empty_like(self._keys[-1]))
