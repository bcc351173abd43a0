"""What is learned: (model, batch) -> Loss, the one place where a loss is defined."""

from abc import ABC, abstractmethod
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


class Objective(ABC):
    """(model, batch) -> Loss, in two halves, so that the second can be compiled on its own."""

    def __call__(self, model: nn.Module, batch: TokenBatch) -> Loss:
        return self.loss(model, self.vectors(model, batch), batch)

    @abstractmethod
    def vectors(self, model: nn.Module, batch: TokenBatch) -> Float[Tensor, "B T D"]:
        """Runs the model up to the vectors that its last layer reads."""

    @abstractmethod
    def loss(self, model: nn.Module, vectors: Float[Tensor, "B T D"], batch: TokenBatch) -> Loss:
        """Says how wrong the model is."""


class NextToken(Objective):
    """Predicts each token from those before it, where `loss_mask` says (Radford 2018, eq. 1)."""

    def vectors(self, model: nn.Module, batch: TokenBatch) -> Float[Tensor, "B T D"]:
        """Runs the blocks; packed documents do not see each other."""
        return model.hidden(batch.tokens, documents=batch.documents)  # type: ignore[operator]

    def loss(self, model: nn.Module, vectors: Float[Tensor, "B T D"], batch: TokenBatch) -> Loss:
        """Sums -log p(next token)."""
        logits = model.unembed(vectors)  # type: ignore[operator]
        total = masked_cross_entropy(logits, batch.targets, mask=batch.loss_mask)
        return Loss(total=total, count=batch.loss_mask.sum())


def masked_cross_entropy(
    logits: Float[Tensor, "B T V"], targets: Int[Tensor, "B T"], *, mask: Bool[Tensor, "B T"]
) -> Float[Tensor, ""]:
    """Sums -log p(target) over the positions in the mask, in fp32."""
    losses = nn.functional.cross_entropy(
        logits.flatten(0, 1).float(), targets.flatten(), reduction="none"
    )
    return torch.where(mask.flatten(), losses, 0.0).sum()
