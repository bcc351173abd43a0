"""Vectors of whole texts: an encoder's mean over the tokens, of length 1."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from cutaway.errors import CheckpointError
from cutaway.models.bert import Bert, mean_vectors
from cutaway.tokenizer.base import Tokenizer
from cutaway.tokenizer.wordpiece import FIRST, SEPARATOR


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """An encoder with its tokenizer, for vectors of texts.

    Raises CheckpointError when it is made with a tokenizer that has no [CLS] or [SEP].
    """

    model: Bert
    tokenizer: Tokenizer

    def __post_init__(self) -> None:
        missing = [name for name in (FIRST, SEPARATOR) if name not in self.tokenizer.special]
        if missing:
            raise CheckpointError(f"the tokenizer of this BERT has no {' and no '.join(missing)}")

    @property
    def width(self) -> int:
        """Numbers in a vector."""
        return self.model.config.width

    @property
    def context_length(self) -> int:
        """The most tokens that are read, the two around a text included."""
        return self.model.config.context_length

    def count(self, texts: Sequence[str]) -> list[int]:
        """The tokens of each text, the two around it included, before anything is cut."""
        return [len(ids) + 2 for ids in self.tokenizer.encode_batch(texts)]

    def around(self, ids: Sequence[int]) -> list[int]:
        """The ids of a text with the two tokens that stand around it."""
        return [self.tokenizer.special[FIRST], *ids, self.tokenizer.special[SEPARATOR]]

    @torch.inference_mode()
    def read(self, rows: Sequence[Sequence[int]]) -> Float[Tensor, "B D"]:
        """A vector of length 1 for each row of ids, the mean over its tokens."""
        device = self.model.embedding.weight.device
        lengths = torch.tensor([len(row) for row in rows], device=device)
        tokens = torch.nn.utils.rnn.pad_sequence(
            [torch.tensor(row, device=device) for row in rows], batch_first=True
        )
        documents = (torch.arange(tokens.shape[1], device=device) < lengths[:, None]).long()
        return mean_vectors(self.model(tokens, documents=documents), documents=documents)

    def vectors(
        self, texts: Sequence[str], *, most_tokens: int | None = None
    ) -> Float[Tensor, "B D"]:
        """A vector of length 1 for each text; a longer text is cut.

        Args:
            texts: what is read, together.
            most_tokens: how many tokens of a text are read, the two around it included; None: as
                many as the model can.
        """
        most = min(most_tokens or self.context_length, self.context_length)
        all_ids = self.tokenizer.encode_batch(texts)
        return self.read([self.around(ids[: most - 2]) for ids in all_ids])
