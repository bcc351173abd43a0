"""A layer of a Transformer: attention, then feed-forward, each beside a residual path."""

from jaxtyping import Float, Int
from torch import Tensor, nn

from cutaway.nn.attention import Attention, CrossAttention
from cutaway.nn.cache import BeamLayer, LayerCache, MemoryLayer
from cutaway.nn.masks import Mask
from cutaway.nn.tap import Tap


class PreNormBlock(nn.Module):
    """Normalises what each part reads and leaves the residual stream alone (GPT-2, Llama)."""

    def __init__(
        self,
        attention: Attention,
        feedforward: nn.Module,
        *,
        attention_norm: nn.Module,
        feedforward_norm: nn.Module,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.attention_norm, self.attention = attention_norm, attention
        self.feedforward_norm, self.feedforward = feedforward_norm, feedforward
        self.dropout = nn.Dropout(dropout)
        self.middle, self.residual = Tap(), Tap()

    def forward(
        self,
        x: Float[Tensor, "B T D"],
        *,
        mask: Mask,
        positions: Int[Tensor, "#B T"],
        cache: LayerCache | None = None,
    ) -> Float[Tensor, "B T D"]:
        read = self.attention(self.attention_norm(x), mask=mask, positions=positions, cache=cache)
        x = self.middle(x + self.dropout(read))
        x = x + self.dropout(self.feedforward(self.feedforward_norm(x)))
        return self.residual(x)


class PostNormBlock(nn.Module):
    """Normalises the residual stream itself (Vaswani 2017, section 3.1; GPT-1; BERT)."""

    def __init__(
        self,
        attention: Attention,
        feedforward: nn.Module,
        *,
        attention_norm: nn.Module,
        feedforward_norm: nn.Module,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.attention_norm, self.attention = attention_norm, attention
        self.feedforward_norm, self.feedforward = feedforward_norm, feedforward
        self.dropout = nn.Dropout(dropout)
        self.middle, self.residual = Tap(), Tap()

    def forward(
        self,
        x: Float[Tensor, "B T D"],
        *,
        mask: Mask,
        positions: Int[Tensor, "#B T"],
        cache: LayerCache | None = None,
    ) -> Float[Tensor, "B T D"]:
        read = self.attention(x, mask=mask, positions=positions, cache=cache)
        x = self.middle(self.attention_norm(x + self.dropout(read)))
        x = self.feedforward_norm(x + self.dropout(self.feedforward(x)))
        return self.residual(x)


class CrossPreNormBlock(nn.Module):
    """A pre-norm block of a decoder that reads a memory between attention and feed-forward."""

    def __init__(
        self,
        attention: Attention,
        cross_attention: CrossAttention,
        feedforward: nn.Module,
        *,
        attention_norm: nn.Module,
        cross_norm: nn.Module,
        feedforward_norm: nn.Module,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.attention_norm, self.attention = attention_norm, attention
        self.cross_norm, self.cross_attention = cross_norm, cross_attention
        self.feedforward_norm, self.feedforward = feedforward_norm, feedforward
        self.dropout = nn.Dropout(dropout)
        self.middle, self.informed, self.residual = Tap(), Tap(), Tap()

    def forward(
        self,
        x: Float[Tensor, "B T D"],
        memory: Float[Tensor, "M S D"],
        *,
        mask: Mask,
        memory_mask: Mask,
        positions: Int[Tensor, "#B T"],
        cache: BeamLayer | None = None,
        memory_cache: MemoryLayer | None = None,
    ) -> Float[Tensor, "B T D"]:
        own = self.attention(self.attention_norm(x), mask=mask, positions=positions, cache=cache)
        x = self.middle(x + self.dropout(own))
        read = self.cross_attention(
            self.cross_norm(x), memory, mask=memory_mask, cache=memory_cache
        )
        x = self.informed(x + self.dropout(read))
        x = x + self.dropout(self.feedforward(self.feedforward_norm(x)))
        return self.residual(x)


class CrossPostNormBlock(nn.Module):
    """A layer of the decoder as Vaswani et al. 2017 draw it in figure 1, right."""

    def __init__(
        self,
        attention: Attention,
        cross_attention: CrossAttention,
        feedforward: nn.Module,
        *,
        attention_norm: nn.Module,
        cross_norm: nn.Module,
        feedforward_norm: nn.Module,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.attention_norm, self.attention = attention_norm, attention
        self.cross_norm, self.cross_attention = cross_norm, cross_attention
        self.feedforward_norm, self.feedforward = feedforward_norm, feedforward
        self.dropout = nn.Dropout(dropout)
        self.middle, self.informed, self.residual = Tap(), Tap(), Tap()

    def forward(
        self,
        x: Float[Tensor, "B T D"],
        memory: Float[Tensor, "M S D"],
        *,
        mask: Mask,
        memory_mask: Mask,
        positions: Int[Tensor, "#B T"],
        cache: BeamLayer | None = None,
        memory_cache: MemoryLayer | None = None,
    ) -> Float[Tensor, "B T D"]:
        own = self.attention(x, mask=mask, positions=positions, cache=cache)
        x = self.middle(self.attention_norm(x + self.dropout(own)))
        read = self.cross_attention(x, memory, mask=memory_mask, cache=memory_cache)
        x = self.informed(self.cross_norm(x + self.dropout(read)))
        x = self.feedforward_norm(x + self.dropout(self.feedforward(x)))
        return self.residual(x)
