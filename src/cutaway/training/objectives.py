"""What is learned: (model, batch) -> Loss, the one place where a loss is defined."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Generic

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from cutaway.data.batches import KindOfBatch, PairBatch, TokenBatch


@dataclass(frozen=True, kw_only=True)
class Loss:
    """A sum over `count` predictions; the loop divides once, after all micro-batches."""

    total: Float[Tensor, ""]
    """Sum of the losses, in nats."""
    count: Int[Tensor, ""]
    """Number of predictions in the sum."""
    metrics: dict[str, Float[Tensor, ""]] = field(default_factory=dict)
    """Further sums over the same predictions."""


class Objective(ABC, Generic[KindOfBatch]):
    """(model, batch) -> Loss, in two halves, so that the second can be compiled on its own."""

    def __call__(self, model: nn.Module, batch: KindOfBatch) -> Loss:
        return self.loss(model, self.vectors(model, batch), batch)

    @abstractmethod
    def vectors(self, model: nn.Module, batch: KindOfBatch) -> Float[Tensor, "B T D"]:
        """Runs the model up to the vectors that its last layer reads."""

    @abstractmethod
    def loss(self, model: nn.Module, vectors: Float[Tensor, "B T D"], batch: KindOfBatch) -> Loss:
        """Says how wrong the model is."""


class NextToken(Objective[TokenBatch]):
    """Predicts each token from those before it, where `loss_mask` says (Radford 2018, eq. 1)."""

    def vectors(self, model: nn.Module, batch: TokenBatch) -> Float[Tensor, "B T D"]:
        """Runs the blocks; packed documents do not see each other."""
        return model.hidden(batch.tokens, documents=batch.documents)  # type: ignore[operator]

    def loss(self, model: nn.Module, vectors: Float[Tensor, "B T D"], batch: TokenBatch) -> Loss:
        """Sums -log p(next token)."""
        logits = model.unembed(vectors)  # type: ignore[operator]
        total = masked_cross_entropy(logits, batch.targets, mask=batch.loss_mask)
        return Loss(total=total, count=batch.loss_mask.sum())


class SourceToTarget(Objective[PairBatch]):
    """Predicts each token of a target from its source and the tokens before it.

    A share `label_smoothing` of the probability asked for is spread over the whole vocabulary
    (Vaswani et al. 2017, section 5.4; Szegedy et al. 2016, section 7).
    """

    def __init__(self, *, label_smoothing: float = 0.0) -> None:
        self.label_smoothing = label_smoothing

    def vectors(self, model: nn.Module, batch: PairBatch) -> Float[Tensor, "B T D"]:
        """Reads the sources, then runs the decoder over the targets."""
        memory = model.encode(batch.source, documents=batch.source_documents)  # type: ignore[operator]
        return model.hidden(batch.tokens, memory, documents=batch.documents)  # type: ignore[operator]

    def loss(self, model: nn.Module, vectors: Float[Tensor, "B T D"], batch: PairBatch) -> Loss:
        """Sums the smoothed losses; the metric `nats` is the same without smoothing."""
        logits = model.unembed(vectors).flatten(0, 1).float()  # type: ignore[operator]
        log_normalizer = logits.logsumexp(dim=-1)
        right = logits.gather(1, batch.targets.flatten()[:, None])[:, 0]
        nats = log_normalizer - right
        # The mean of -log p over the vocabulary, without storing log p.
        spread = log_normalizer - logits.mean(dim=-1)
        losses = nats + self.label_smoothing * (spread - nats)
        mask = batch.loss_mask.flatten()
        return Loss(
            total=torch.where(mask, losses, 0.0).sum(),
            count=batch.loss_mask.sum(),
            metrics={"nats": torch.where(mask, nats, 0.0).sum()},
        )


def masked_cross_entropy(
    logits: Float[Tensor, "B T V"], targets: Int[Tensor, "B T"], *, mask: Bool[Tensor, "B T"]
) -> Float[Tensor, ""]:
    """Sums -log p(target) over the positions in the mask, in fp32."""
    losses = nn.functional.cross_entropy(
        logits.flatten(0, 1).float(), targets.flatten(), reduction="none"
    )
    return torch.where(mask.flatten(), losses, 0.0).sum()
