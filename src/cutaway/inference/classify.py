"""Names the classes of texts, with probabilities: texts of like length are read together."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from cutaway.data.labelled import Readable, TooLong, laid_out, readable
from cutaway.models.heads import Classifier
from cutaway.text.labelled import LabelledText
from cutaway.tokenizer.base import Tokenizer

ROWS = 32
"""Texts that are read at once."""


def class_logits(
    model: Classifier,
    texts: Sequence[LabelledText],
    *,
    tokenizer: Tokenizer,
    too_long: TooLong = "cut",
) -> Float[Tensor, "texts classes"]:
    """The calibrated logits of each text, in the order given; their softmax are probabilities.

    Raises:
        DataError: a text has no token, or is longer than the model where that is an error.
    """
    written = readable(
        texts,
        tokenizer,
        reads=model.reads,
        context_length=int(model.config.context_length),
        too_long=too_long,
    )
    return logits_of(model, written)


@torch.no_grad()
def logits_of(model: Classifier, written: Sequence[Readable]) -> Float[Tensor, "texts classes"]:
    """The calibrated logits of texts that are ids already."""
    device = model.temperature.device
    order = sorted(range(len(written)), key=lambda place: len(written[place].ids))
    found = torch.empty(len(written), len(model.labels))
    for start in range(0, len(order), ROWS):
        places = order[start : start + ROWS]
        length = len(written[places[-1]].ids)
        rows = [
            laid_out([written[place]], classes=[0], row_length=length, most=1) for place in places
        ]
        batch = {name: torch.stack([row[name] for row in rows]).to(device) for name in rows[0]}
        logits = model(
            batch["tokens"],
            places=batch["places"],
            documents=batch["documents"],
            segments=batch["segments"] if model.reads == "first" else None,
        )
        found[places] = logits[:, 0].float().cpu()
    return found
