"""Who may attend to whom: True means "may attend", everywhere in this package."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Mask:
    """Which query may read which key.

    `allowed` is None when `is_causal` says everything: then a fused kernel need not read a mask.
    """

    allowed: Bool[Tensor, "#B 1 Q K"] | None
    is_causal: bool

    def dense(self, queries: int, keys: int, *, device: torch.device) -> Tensor | None:
        """Returns the mask as a tensor of shape (1 or B, 1, Q, K), or None when all is allowed."""
        if self.allowed is not None or not self.is_causal:
            return self.allowed
        return triangle(queries, keys, window=None, device=device)[None, None]


def triangle(
    queries: int, keys: int, *, window: int | None, device: torch.device
) -> Bool[Tensor, "Q K"]:
    """Lets a query read the keys up to its own, or the last `window` of them; both end together."""
    query = torch.arange(keys - queries, keys, device=device)[:, None]
    key = torch.arange(keys, device=device)[None, :]
    allowed = key <= query
    if window is not None:
        allowed = allowed & (key > query - window)
    return allowed


def causal(
    tokens: int,
    *,
    documents: Int[Tensor, "B T"] | None,
    window: int | None,
    device: torch.device,
) -> Mask:
    """Hides the future, other documents of the same row and all but the last `window` tokens."""
    if documents is None and (window is None or window >= tokens):
        return Mask(allowed=None, is_causal=True)
    allowed = triangle(tokens, tokens, window=window, device=device)[None, None]
    if documents is not None:
        allowed = allowed & _same_document(documents)
    return Mask(allowed=allowed, is_causal=False)


def bidirectional(*, documents: Int[Tensor, "B T"] | None) -> Mask:
    """Lets every token read its whole document (Devlin et al. 2018); document 0 is padding."""
    if documents is None:
        return Mask(allowed=None, is_causal=False)
    return Mask(allowed=_same_document(documents), is_causal=False)


def cached(positions: Int[Tensor, "B Q"], *, keys: int, window: int | None) -> Mask:
    """Lets a query at position p read the cache's slots 0..p, or only the last `window` of them."""
    slot = torch.arange(keys, device=positions.device)
    allowed = slot <= positions[:, None, :, None]
    if window is not None:
        allowed = allowed & (slot > positions[:, None, :, None] - window)
    return Mask(allowed=allowed, is_causal=False)


def across(
    documents: Int[Tensor, "B T"] | None, *, memory_documents: Int[Tensor, "M S"] | None
) -> Mask:
    """Lets a target read the source of its own number; document 0 is padding on both sides.

    Where B is a multiple of M, each row of the source is read by as many rows of the target.
    """
    if memory_documents is None:
        return Mask(allowed=None, is_causal=False)
    source = memory_documents[:, None, None, :]
    if documents is None:
        return Mask(allowed=source > 0, is_causal=False)
    target = documents.reshape(memory_documents.shape[0], -1)[:, None, :, None]
    # Padding reads everything, so that no row of the softmax is empty.
    return Mask(allowed=(target == source) | (target == 0), is_causal=False)


def _same_document(documents: Int[Tensor, "B T"]) -> Bool[Tensor, "B 1 T T"]:
    # Padding (document 0) reads itself, so that no row of the softmax is empty.
    return documents[:, None, :, None] == documents[:, None, None, :]
