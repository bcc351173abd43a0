"""Normalisation of vectors: LayerNorm (Ba et al. 2016) and RMSNorm (Zhang and Sennrich 2019)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class LayerNorm(nn.Module):
    """Centres each vector, scales it to unit variance, then applies a learned gain and bias."""

    def __init__(self, width: int, *, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.epsilon = epsilon

    def forward(self, x: Float[Tensor, "... D"]) -> Float[Tensor, "... D"]:
        return nn.functional.layer_norm(x, self.weight.shape, self.weight, self.bias, self.epsilon)


class RMSNorm(nn.Module):
    """Divides each vector by its root mean square, then applies a learned gain (eq. 4)."""

    def __init__(self, width: int, *, epsilon: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.epsilon = epsilon

    def forward(self, x: Float[Tensor, "... D"]) -> Float[Tensor, "... D"]:
        # In fp32 even when x is bf16: the sum of squares needs the bits.
        square = x.float().square().mean(dim=-1, keepdim=True)
        return (x.float() * torch.rsqrt(square + self.epsilon)).to(x.dtype) * self.weight


class UnitRMSNorm(nn.Module):
    """Gives each vector the same root mean square, `scale`; nothing is learned."""

    def __init__(self, *, scale: float = 1.0, epsilon: float = 1e-6) -> None:
        super().__init__()
        self.scale, self.epsilon = scale, epsilon

    def forward(self, x: Float[Tensor, "... D"]) -> Float[Tensor, "... D"]:
        square = x.float().square().mean(dim=-1, keepdim=True)
        return (x.float() * (self.scale * torch.rsqrt(square + self.epsilon))).to(x.dtype)
