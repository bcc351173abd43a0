"""Blocks one after the other: left to right, both ways, or left to right with a memory."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from cutaway.nn import masks
from cutaway.nn.cache import CrossCache, KeyValueCache


class DecoderStack(nn.Module):
    """Runs the blocks under a causal mask and a final norm; `windows` bounds each block's view.

    A window is the number of last tokens that a block may read; None means all of them. `shared` is
    handed to every block (the embedding, where blocks read it again).
    """

    def __init__(
        self, blocks: Sequence[nn.Module], *, windows: Sequence[int | None], norm: nn.Module
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.windows = tuple(windows)
        self.norm = norm

    def forward(
        self,
        x: Float[Tensor, "B T D"],
        *,
        positions: Int[Tensor, "#B T"],
        documents: Int[Tensor, "B T"] | None,
        cache: KeyValueCache | None,
        **shared: Tensor,
    ) -> Float[Tensor, "B T D"]:
        tokens = x.shape[1]
        if cache is None:
            mask_of = {
                window: masks.causal(tokens, documents=documents, window=window, device=x.device)
                for window in set(self.windows)
            }
        else:
            cache.require(tokens)
            slots, keys = cache.positions(tokens), cache.longest + tokens
            alone = cache.longest == 0
            mask_of = {
                window: masks.causal(tokens, documents=None, window=window, device=x.device)
                if alone
                else masks.cached(slots, keys=keys, window=window)
                for window in set(self.windows)
            }
        for index, (block, window) in enumerate(zip(self.blocks, self.windows, strict=True)):
            layer = None if cache is None else cache.layer(index)
            x = block(x, mask=mask_of[window], positions=positions, cache=layer, **shared)
        if cache is not None:
            cache.advance(tokens if documents is None else (documents > 0).sum(dim=1))
        return self.norm(x)


class EncoderStack(nn.Module):
    """Runs the blocks over whole documents, each token reading both ways, and a final norm."""

    def __init__(self, blocks: Sequence[nn.Module], *, norm: nn.Module) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.norm = norm

    def forward(
        self,
        x: Float[Tensor, "B T D"],
        *,
        positions: Int[Tensor, "#B T"],
        documents: Int[Tensor, "B T"] | None,
    ) -> Float[Tensor, "B T D"]:
        mask = masks.bidirectional(documents=documents)
        for block in self.blocks:
            x = block(x, mask=mask, positions=positions)
        return self.norm(x)


class CrossStack(nn.Module):
    """Runs the blocks from left to right, each of them reading a memory, and a final norm."""

    def __init__(self, blocks: Sequence[nn.Module], *, norm: nn.Module) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.norm = norm

    def forward(
        self,
        x: Float[Tensor, "B T D"],
        memory: Float[Tensor, "M S D"],
        *,
        positions: Int[Tensor, "#B T"],
        documents: Int[Tensor, "B T"] | None,
        memory_documents: Int[Tensor, "M S"] | None,
        cache: CrossCache | None,
    ) -> Float[Tensor, "B T D"]:
        tokens = x.shape[1]
        if cache is None or cache.own.longest == 0:
            mask = masks.causal(
                tokens,
                documents=documents if cache is None else None,
                window=None,
                device=x.device,
            )
        elif tokens == 1:
            mask = masks.Mask(allowed=None, is_causal=False)  # the newest token reads all of them
        else:
            mask = masks.cached(positions, keys=cache.own.longest + tokens, window=None)
        memory_mask = masks.across(documents, memory_documents=memory_documents)
        for index, block in enumerate(self.blocks):
            x = block(
                x,
                memory,
                mask=mask,
                memory_mask=memory_mask,
                positions=positions,
                cache=None if cache is None else cache.own.layer(index),
                memory_cache=None if cache is None else cache.memory[index],
            )
        if cache is not None:
            cache.own.advance(tokens)
        return self.norm(x)


def positions_of(
    tokens: int, *, cache: KeyValueCache | None, device: torch.device
) -> Int[Tensor, "#B T"]:
    """Numbers the tokens of a row from where the cache ends, or from 0."""
    if cache is not None:
        return cache.positions(tokens)
    return torch.arange(tokens, device=device)[None]
