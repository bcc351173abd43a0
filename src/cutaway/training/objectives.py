"""What is learned: (model, batch) -> Loss, the one place where a loss is defined."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from cutaway.data.batches import TokenBatch


@dataclass(frozen=True, kw_only=True)
class Loss:
    """A sum over `count` predictions; the loop divides once, after all micro-batches."""

    total: Float[Tensor, ""]
    """Sum of the losses, in nats."""
    count: Int[Tensor, ""]
    """Number of predictions in the sum."""
    metrics: dict[str, Float[Tensor, ""]] = field(default_factory=dict)
    """Further sums over the same predictions."""


Objective = Callable[[nn.Module, TokenBatch], Loss]


def next_token(model: nn.Module, batch: TokenBatch) -> Loss:
    """Predicts each token from those before it, where `loss_mask` says (Radford 2018, eq. 1)."""
    logits = model(batch.tokens, documents=batch.documents)
    return Loss(
        total=masked_cross_entropy(logits, batch.targets, mask=batch.loss_mask),
        count=batch.loss_mask.sum(),
    )


def masked_cross_entropy(
    logits: Float[Tensor, "B T V"], targets: Int[Tensor, "B T"], *, mask: Bool[Tensor, "B T"]
) -> Float[Tensor, ""]:
    """Sums -log p(target) over the positions in the mask, in fp32."""
    losses = nn.functional.cross_entropy(
        logits.flatten(0, 1).float(), targets.flatten(), reduction="none"
    )
    return torch.where(mask.flatten(), losses, 0.0).sum()
