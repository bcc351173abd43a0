"""The encoders that a server holds, and what they make of a request: a vector for each text."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from cutaway.inference.vectors import Encoder
from cutaway.server.protocol import EmbeddingRequest, Refused

MOST_TOKENS = 2**17
"""Tokens of all texts of a request together."""
AT_ONCE = 2048
"""Tokens that are read in one pass, padding included; a longer text is read alone."""


@dataclass(frozen=True, kw_only=True)
class ServedEncoder:
    """An encoder and its name."""

    name: str
    encoder: Encoder
    created: int = field(default_factory=lambda: int(time.time()))

    @property
    def context_length(self) -> int:
        """Tokens of a text that it reads, the two around it included."""
        return self.encoder.context_length

    @property
    def width(self) -> int:
        """Numbers of a vector."""
        return self.encoder.width

    @property
    def told(self) -> dict[str, Any]:
        """What GET /v1/models says of it."""
        return {
            "id": self.name,
            "object": "model",
            "created": self.created,
            "owned_by": "cutaway",
            "context_length": self.context_length,
            "is_chat": False,
            "makes": "vectors",
        }

    def rows(self, asked: EmbeddingRequest) -> list[list[int]]:
        """The ids of each text, with the tokens that stand around it; none is cut.

        Raises:
            Refused: a text is too long, an id does not exist, or another width is asked for.
        """
        if asked.dimensions not in (None, self.width):
            raise Refused(
                f"the vectors of {self.name} have {self.width} dimensions, and a part of them is "
                "no vector of its own; leave dimensions out",
                param="dimensions",
            )
        given: Any = asked.input
        if isinstance(given, str):
            all_ids = [self.encoder.tokenizer.encode(given)]
        elif isinstance(given[0], str):
            all_ids = self.encoder.tokenizer.encode_batch(given)
        else:
            all_ids = [given] if isinstance(given[0], int) else given
            self._check_ids(all_ids)
        rows = [self.encoder.around(ids) for ids in all_ids]
        for place, row in enumerate(rows):
            if len(row) > self.context_length:
                raise Refused(
                    f"text {place} has {len(row)} tokens, but this model reads "
                    f"{self.context_length} of one; cut it, or ask for its parts",
                    code="context_length_exceeded",
                    param="input",
                )
        if (total := sum(map(len, rows))) > MOST_TOKENS:
            raise Refused(
                f"the texts have {total} tokens, but a request has at most {MOST_TOKENS}; "
                "send them in several",
                code="context_length_exceeded",
                param="input",
            )
        return rows

    def _check_ids(self, all_ids: Sequence[Sequence[int]]) -> None:
        known = self.encoder.tokenizer.vocab_size
        if max(map(max, all_ids)) >= known:
            raise Refused(f"the input has ids beyond the {known} that exist", param="input")


def batches(rows: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """The places of rows that are read together: those of like length, so that little is padded."""
    some: list[int] = []
    for place in sorted(range(len(rows)), key=lambda place: len(rows[place])):
        # The newest is the longest, and all are padded to it.
        if some and (len(some) + 1) * len(rows[place]) > AT_ONCE:
            yield some
            some = []
        some.append(place)
    if some:
        yield some


def gathered(parts: Sequence[tuple[Sequence[int], Float[Tensor, "N D"]]]) -> Float[Tensor, "B D"]:
    """The vectors of batches in the order of their rows."""
    places = torch.tensor([place for some, _ in parts for place in some])
    vectors = torch.cat([vectors.float().cpu() for _, vectors in parts])
    return torch.empty_like(vectors).index_copy_(0, places, vectors)
