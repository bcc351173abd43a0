"""Attention: written out as the paper draws it, and fused (Vaswani et al. 2017, section 3.2)."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from cutaway.nn.cache import BeamLayer, LayerCache, MemoryLayer
from cutaway.nn.masks import Mask
from cutaway.nn.position import Rotary
from cutaway.nn.tap import Tap


class WrittenOut(nn.Module):
    """softmax(Q K^T / sqrt(C)) V, one line for each symbol (eq. 1); the weights can be watched."""

    def __init__(self) -> None:
        super().__init__()
        self.scores = Tap()
        self.weights = Tap()

    def forward(
        self,
        query: Float[Tensor, "B H Q C"],
        key: Float[Tensor, "B H K C"],
        value: Float[Tensor, "B H K C"],
        *,
        mask: Mask,
    ) -> Float[Tensor, "B H Q C"]:
        scores = (query @ key.transpose(-2, -1)) * (1 / math.sqrt(query.shape[-1]))
        allowed = mask.dense(query.shape[-2], key.shape[-2], device=query.device)
        if allowed is not None:
            scores = scores.masked_fill(~allowed, -math.inf)
        weights = self.weights(self.scores(scores).softmax(dim=-1))
        return weights @ value


class Fused(nn.Module):
    """The same function in one kernel that never stores the weights (Dao et al. 2022)."""

    def forward(
        self,
        query: Float[Tensor, "B H Q C"],
        key: Float[Tensor, "B H K C"],
        value: Float[Tensor, "B H K C"],
        *,
        mask: Mask,
    ) -> Float[Tensor, "B H Q C"]:
        return nn.functional.scaled_dot_product_attention(
            query, key, value, attn_mask=mask.allowed, is_causal=mask.is_causal
        )


class Attention(nn.Module):
    """Multi-head self-attention (section 3.2.2) with grouped key/value heads (Ainslie et al. 2023).

    Query asks, key answers, value carries. `use_kernel` chooses how the three are put together;
    `query_norm` and `key_norm` normalise each head's vectors (Henry et al. 2020) where given.
    """

    def __init__(
        self,
        width: int,
        num_heads: int,
        *,
        num_key_value_heads: int | None = None,
        head_width: int | None = None,
        bias: bool = False,
        output_bias: bool = False,
        rotary: Rotary | None = None,
        query_norm: nn.Module | None = None,
        key_norm: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.num_key_value_heads = num_key_value_heads or num_heads
        self.head_width = head_width or width // num_heads
        if self.num_heads % self.num_key_value_heads:
            raise ValueError(
                f"{num_heads} query heads cannot share {num_key_value_heads} key/value heads; "
                "give a number of key/value heads that divides the number of query heads"
            )
        inner, shared = num_heads * self.head_width, self.num_key_value_heads * self.head_width
        self.query_projection = nn.Linear(width, inner, bias=bias)
        self.key_projection = nn.Linear(width, shared, bias=bias)
        self.value_projection = nn.Linear(width, shared, bias=bias)
        self.output_projection = nn.Linear(inner, width, bias=output_bias)
        self.query_norm = query_norm or nn.Identity()
        self.key_norm = key_norm or nn.Identity()
        self.rotary = rotary
        self.query, self.key, self.value, self.mixed = Tap(), Tap(), Tap(), Tap()
        self.kernel: nn.Module = Fused()

    def forward(
        self,
        x: Float[Tensor, "B T D"],
        *,
        mask: Mask,
        positions: Int[Tensor, "#B T"],
        cache: LayerCache | BeamLayer | None = None,
    ) -> Float[Tensor, "B T D"]:
        batch, tokens, _ = x.shape
        query = self.query_norm(self._split(self.query_projection(x), self.num_heads))
        key = self.key_norm(self._split(self.key_projection(x), self.num_key_value_heads))
        value = self._split(self.value_projection(x), self.num_key_value_heads)
        if self.rotary is not None:
            query = self.rotary(query, positions=positions)
            key = self.rotary(key, positions=positions)
        query, key, value = self.query(query), self.key(key), self.value(value)
        if cache is not None:
            key, value = cache.append(key, value)
        if self.num_key_value_heads != self.num_heads:
            copies = self.num_heads // self.num_key_value_heads
            key = torch.repeat_interleave(key, copies, dim=1)
            value = torch.repeat_interleave(value, copies, dim=1)
        mixed = self.mixed(self.kernel(query, key, value, mask=mask))  # (B, H, T, C)
        return self.output_projection(mixed.transpose(1, 2).reshape(batch, tokens, -1))

    def _split(self, x: Float[Tensor, "B T N"], heads: int) -> Float[Tensor, "B H T C"]:
        return x.view(x.shape[0], x.shape[1], heads, self.head_width).transpose(1, 2)


class CrossAttention(nn.Module):
    """Multi-head attention in which a target asks and a memory answers (section 3.2.3).

    The memory may have fewer rows than the target: each of its rows is then read by as many rows of
    the target, one after the other, without being copied (the beams of one sentence).
    """

    def __init__(self, width: int, num_heads: int, *, bias: bool = False) -> None:
        super().__init__()
        self.num_heads, self.head_width = num_heads, width // num_heads
        self.query_projection = nn.Linear(width, width, bias=bias)
        self.key_projection = nn.Linear(width, width, bias=bias)
        self.value_projection = nn.Linear(width, width, bias=bias)
        self.output_projection = nn.Linear(width, width, bias=bias)
        self.query, self.key, self.value, self.mixed = Tap(), Tap(), Tap(), Tap()
        self.kernel: nn.Module = Fused()

    def forward(
        self,
        x: Float[Tensor, "B T D"],
        memory: Float[Tensor, "M S D"],
        *,
        mask: Mask,
        cache: MemoryLayer | None = None,
    ) -> Float[Tensor, "B T D"]:
        batch, tokens, width = x.shape
        rows = memory.shape[0]
        query = self.query(self._split(self.query_projection(x).view(rows, -1, width)))
        kept = None if cache is None else cache.kept
        if kept is None:
            key, value = self.read(memory)
            if cache is not None:
                cache.keep(key, value)
        else:
            key, value = kept
        mixed = self.mixed(self.kernel(query, key, value, mask=mask))  # (M, H, Q, C)
        return self.output_projection(mixed.transpose(1, 2).reshape(batch, tokens, width))

    def read(
        self, memory: Float[Tensor, "M S D"]
    ) -> tuple[Float[Tensor, "M H S C"], Float[Tensor, "M H S C"]]:
        """Makes the keys and values of a memory."""
        key = self.key(self._split(self.key_projection(memory)))
        return key, self.value(self._split(self.value_projection(memory)))

    def _split(self, x: Float[Tensor, "M N D"]) -> Float[Tensor, "M H N C"]:
        return x.view(x.shape[0], x.shape[1], self.num_heads, self.head_width).transpose(1, 2)


def use_kernel(model: nn.Module, kernel: type[Fused] | type[WrittenOut]) -> None:
    """Gives every attention layer of the model a kernel of this kind; no weight changes."""
    for module in model.modules():
        if isinstance(module, Attention | CrossAttention):
            module.kernel = kernel()
