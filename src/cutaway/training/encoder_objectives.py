"""What an encoder learns: the hidden words, the order of two texts, the class of a text."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cutaway.data.corruption import MaskedBatch
from cutaway.data.labelled import LabelledBatch
from cutaway.models.heads import at_places
from cutaway.training.objectives import Loss, Objective, masked_cross_entropy


class MaskedWords(Objective[MaskedBatch]):
    """Names the hidden words (Devlin et al. 2018, section 3.1, task 1)."""

    def vectors(self, model: nn.Module, batch: MaskedBatch) -> Float[Tensor, "B T D"]:
        """Runs the encoder; packed texts do not see each other."""
        return _read(model, batch)

    def loss(self, model: nn.Module, vectors: Float[Tensor, "B T D"], batch: MaskedBatch) -> Loss:
        """Sums -log p(hidden word); the share of words named right is a metric."""
        total, right = _named(model, vectors, batch)
        return Loss(total=total, count=batch.loss_mask.sum(), metrics={"masked_accuracy": right})


class MaskedWordsAndOrder(Objective[MaskedBatch]):
    """Names the hidden words, and says whether the second part of a text follows (tasks 1 and 2).

    The paper adds two means. Sums over one count can do so for a known number of hidden words to a
    text: each answer about order counts as many of them.
    """

    def __init__(self, *, hidden_words: float) -> None:
        self.hidden_words = hidden_words
        """Words that are hidden in a text, on average."""

    def vectors(self, model: nn.Module, batch: MaskedBatch) -> Float[Tensor, "B T D"]:
        """Runs the encoder; packed texts do not see each other."""
        return _read(model, batch)

    def loss(self, model: nn.Module, vectors: Float[Tensor, "B T D"], batch: MaskedBatch) -> Loss:
        """Sums both losses; `order_loss` is what order adds to the mean."""
        total, right = _named(model, vectors, batch)
        # The head's first answer is "follows", as in the weights that others publish.
        logits = model.judge_order(at_places(vectors, batch.firsts))  # type: ignore[operator]
        losses = nn.functional.cross_entropy(
            logits.flatten(0, 1).float(),
            torch.where(batch.follows < 0, -1, 1 - batch.follows).flatten(),
            reduction="none",
            ignore_index=-1,
        )
        order = self.hidden_words * losses.sum()
        metrics = {"masked_accuracy": right, "order_loss": order}
        return Loss(total=total + order, count=batch.loss_mask.sum(), metrics=metrics)


class Classes(Objective[LabelledBatch]):
    """Names the class of each text (Devlin et al. 2018, section 4.1; Radford et al. 2018, 3.2)."""

    def vectors(self, model: nn.Module, batch: LabelledBatch) -> Float[Tensor, "B T D"]:
        """Runs the body; packed texts do not see each other."""
        return model.hidden(  # type: ignore[operator]
            batch.tokens, documents=batch.documents, segments=batch.segments
        )

    def loss(self, model: nn.Module, vectors: Float[Tensor, "B T D"], batch: LabelledBatch) -> Loss:
        """Sums -log p(class); the share of texts named right is a metric."""
        logits = model.scores(at_places(vectors, batch.places))  # type: ignore[operator]
        total = masked_cross_entropy(logits, batch.targets, mask=batch.loss_mask)
        right = (logits.detach().argmax(dim=-1) == batch.targets) & batch.loss_mask
        metrics = {"class_accuracy": right.sum().float()}
        return Loss(total=total, count=batch.loss_mask.sum(), metrics=metrics)


def _named(
    model: nn.Module, vectors: Float[Tensor, "B T D"], batch: MaskedBatch
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """The summed loss of the hidden words, and how many are named right."""
    # Logits are made for hidden words only: a seventh of the tokens, and most of the head's work.
    logits = model.name_words(at_places(vectors, batch.places))  # type: ignore[operator]
    total = masked_cross_entropy(logits, batch.targets, mask=batch.loss_mask)
    right = (logits.detach().argmax(dim=-1) == batch.targets) & batch.loss_mask
    return total, right.sum().float()


def _read(model: nn.Module, batch: MaskedBatch) -> Float[Tensor, "B T D"]:
    vectors: Tensor = model(batch.tokens, documents=batch.documents, segments=batch.segments)
    return vectors
