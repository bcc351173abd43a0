"""How many hidden words of held-out text are named, and how often order is judged right."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from cutaway.data.corruption import ListedDocuments, MaskedTexts, alphabet_of
from cutaway.data.masking import MaskingConfig
from cutaway.evaluation.intervals import Interval, bootstrap_rate, wilson
from cutaway.models.bert import Bert
from cutaway.models.heads import at_places
from cutaway.tokenizer.base import Tokenizer

ROWS = 16
"""Rows that are read at once."""


@dataclass(frozen=True, kw_only=True)
class MaskedScores:
    """What an encoder makes of hidden words that it has never seen in their text."""

    words: Interval
    """Share of the hidden tokens that are named right."""
    nats: Interval
    """Mean -log p of the hidden tokens."""
    commonest: float
    """Share that is right where the commonest token of the text is always named."""
    num_words: int
    """Hidden tokens."""
    order: Interval | None
    """Share of the texts of which it is judged right whether their second part follows; half of
    them do. None: the model does not say."""
    num_texts: int
    """Texts."""


@torch.no_grad()
def masked_scores(
    model: Bert, texts: Sequence[str], *, tokenizer: Tokenizer, config: MaskingConfig, seed: int = 0
) -> MaskedScores:
    """Hides words of held-out texts, each text in one way, and asks for them.

    Raises DataError where the texts are too few or too short to hide words in.
    """
    listed = [ids for ids in tokenizer.encode_batch(texts) if ids]
    asks_order = model.order is not None and len(listed) > 1
    made = MaskedTexts(
        ListedDocuments(listed),
        name="held-out text",
        alphabet=alphabet_of(tokenizer),
        config=replace(config, next_sentence=asks_order),
        row_length=model.config.context_length,
        seed=seed,
    )
    device = model.embedding.weight.device
    right: list[float] = []
    nats: list[float] = []
    hidden: list[float] = []
    ordered: list[bool] = []
    for start in range(0, made.num_rows, ROWS):
        batch = made.rows(np.arange(start, min(start + ROWS, made.num_rows))).to(device)
        vectors = model(batch.tokens, documents=batch.documents, segments=batch.segments)
        logits = model.name_words(at_places(vectors, batch.places)).float()
        mask = batch.loss_mask
        named = (logits.argmax(dim=-1) == batch.targets) & mask
        losses = -logits.log_softmax(dim=-1).gather(-1, batch.targets[..., None])[..., 0]
        right += named.sum(dim=1).double().tolist()
        nats += torch.where(mask, losses, 0.0).sum(dim=1).tolist()
        hidden += mask.sum(dim=1).double().tolist()
        if asks_order:
            judged = model.judge_order(at_places(vectors, batch.firsts)).argmax(dim=-1)
            asked = batch.follows >= 0
            ordered += (judged == 1 - batch.follows)[asked].tolist()
    counts = Counter(each for ids in listed for each in ids)
    return MaskedScores(
        words=bootstrap_rate(right, hidden),
        nats=bootstrap_rate(nats, hidden),
        commonest=counts.most_common(1)[0][1] / counts.total(),
        num_words=int(sum(hidden)),
        order=wilson(sum(ordered), len(ordered)) if ordered else None,
        num_texts=len(made.packing.examples),
    )
