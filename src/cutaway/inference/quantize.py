"""Weights in fewer bits, activations as they are: bf16, and int8 with a scale for each output.

A token costs the reading of every weight once, so half the bits are twice the speed where memory is
the limit. Only matrices are rounded: norms, biases and positions are small and stay fp32. The scale
of a row is its greatest magnitude over 127 (absmax, Dettmers et al. 2022, section 2.1, by rows).
"""

import copy
from dataclasses import dataclass
from typing import Literal, cast

import torch
from jaxtyping import BFloat16, Float, Int8
from torch import Tensor, nn

from cutaway.models.decoder import Decoder

WeightFormat = Literal["fp32", "bf16", "int8"]
FORMATS: tuple[WeightFormat, ...] = ("fp32", "bf16", "int8")

MOST = 127
"""The greatest code: -128 is left out, so that a weight and its negative have opposite codes."""


@dataclass(frozen=True, kw_only=True)
class Rows:
    """A matrix as it is stored: row `n` is `scales[n] * codes[n]`."""

    codes: Float[Tensor, "N K"] | BFloat16[Tensor, "N K"] | Int8[Tensor, "N K"]
    """The numbers in their format."""
    scales: Float[Tensor, " N"] | None
    """The factor of each row; None: 1."""

    def dense(self) -> Float[Tensor, "N K"]:
        """The matrix that these numbers mean, in fp32."""
        dense = self.codes.float()
        return dense if self.scales is None else dense * self.scales[:, None]


def stored(weight: Float[Tensor, "N K"], *, weights: WeightFormat) -> Rows:
    """Rounds a matrix to a format."""
    weight = weight.detach().float()
    if weights == "fp32":
        return Rows(codes=weight, scales=None)
    if weights == "bf16":
        return Rows(codes=weight.bfloat16(), scales=None)
    greatest = weight.abs().amax(dim=1)
    scales = torch.where(greatest > 0, greatest / MOST, 1.0)
    return Rows(codes=(weight / scales[:, None]).round().to(torch.int8), scales=scales)


def rounded(model: Decoder, *, weights: WeightFormat) -> Decoder:
    """A copy of the model in fp32, each matrix that it multiplies by rounded to the format.

    This is what the format means, in plain PyTorch; it is neither smaller nor faster. A table that
    is only looked up stays as it is; one that is tied to the unembedding is rounded with it.
    """
    copied = copy.deepcopy(cast(nn.Module, model)).float().eval()
    with torch.no_grad():
        for module in copied.modules():
            if isinstance(module, nn.Linear):
                module.weight.copy_(stored(module.weight, weights=weights).dense())
    return cast(Decoder, copied)
