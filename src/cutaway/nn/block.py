"""A layer of a Transformer: attention, then feed-forward, each beside a residual path."""

from jaxtyping import Float, Int
from torch import Tensor, nn

from cutaway.nn.attention import Attention
from cutaway.nn.cache import LayerCache
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
