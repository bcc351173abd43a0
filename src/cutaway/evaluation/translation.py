"""An encoder-decoder under test: what it writes for sources, and how probable targets are to it."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from cutaway.data.batches import PairBatch
from cutaway.inference.beam import BeamSearch, best_targets
from cutaway.models.encoder_decoder import EncoderDecoder
from cutaway.text.pairs import Pair
from cutaway.tokenizer.base import Tokenizer

ROWS = 64
"""Pairs that are read at once."""


@dataclass(frozen=True, kw_only=True)
class Translator:
    """A model with its tokenizer and the way in which it searches for targets."""

    model: EncoderDecoder
    """What reads and writes."""
    tokenizer: Tokenizer
    """Its own tokenizer."""
    beams: int = 4
    """Beams of the search."""
    length_penalty: float = 0.6
    """Exponent by which longer targets are favoured."""

    def can_read(self, source: str) -> bool:
        """Whether the model is long enough for a source."""
        return len(self.source_ids(source)) <= self.model.config.context_length

    def source_ids(self, source: str) -> list[int]:
        """The ids of a source, as the model was trained on them: with one that ends it."""
        return [*self.tokenizer.encode(source), self.tokenizer.begin_id]

    def translate(self, sources: Sequence[str]) -> list[str]:
        """Writes the best target of each source."""
        search = BeamSearch(
            beams=self.beams,
            length_penalty=self.length_penalty,
            max_tokens=self.model.config.context_length,
        )
        end = self.tokenizer.begin_id
        found = best_targets(
            self.model,
            [self.source_ids(source) for source in sources],
            search=search,
            begin_id=end,
            end_id=end,
        )
        return [self.tokenizer.decode(one.ids) for one in found]


@torch.inference_mode()
def target_loss(translator: Translator, pairs: Sequence[Pair]) -> float:
    """Returns the mean loss of the targets' tokens, in nats, without any smoothing."""
    model = translator.model
    device = next(iter(model.parameters())).device
    total, count = 0.0, 0
    for start in range(0, len(pairs), ROWS):
        batch = _batch(translator, pairs[start : start + ROWS]).to(device)
        memory = model.encode(batch.source, documents=batch.source_documents)
        logits = model.decode(batch.tokens, memory, documents=batch.documents)
        losses = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1).float(), batch.targets.flatten(), reduction="none"
        )
        total += float(losses[batch.loss_mask.flatten()].sum())
        count += int(batch.loss_mask.sum())
    return total / max(1, count)


def _batch(translator: Translator, pairs: Sequence[Pair]) -> PairBatch:
    end, longest = translator.tokenizer.begin_id, translator.model.config.context_length
    targets = [
        [end, *translator.tokenizer.encode(pair.target), end][: longest + 1] for pair in pairs
    ]
    source, source_documents = _padded([translator.source_ids(pair.source) for pair in pairs])
    written, inside = _padded(targets)
    return PairBatch(
        source=source,
        source_documents=source_documents,
        tokens=written[:, :-1],
        targets=written[:, 1:],
        loss_mask=inside[:, 1:] > 0,
        documents=inside[:, 1:],
    )


def _padded(rows: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    lengths = torch.tensor([len(row) for row in rows])
    ids = torch.zeros(len(rows), int(lengths.max()), dtype=torch.int64)
    for place, row in enumerate(rows):
        ids[place, : len(row)] = torch.tensor(row)
    return ids, (torch.arange(ids.shape[1]) < lengths[:, None]).long()
