"""What stands on a body of blocks and answers one question: which word, which order, which class.

BERT's heads for masked words and next sentences (Devlin et al. 2018, section 3.1), and a classifier
that reads one vector of any model of the family: BERT's first (section 4.1) or a decoder's last
(Radford et al. 2018, section 3.2).
"""

from collections.abc import Sequence
from typing import Any, Literal, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from cutaway.nn import init
from cutaway.nn.norm import LayerNorm


class WordHead(nn.Module):
    """Says which word a vector stands for: one more layer, then the embedding's transpose."""

    def __init__(self, embedding: nn.Embedding, *, activation: nn.Module, epsilon: float) -> None:
        super().__init__()
        size, width = embedding.weight.shape
        self.dense = nn.Linear(width, width)
        self.activation = activation
        self.norm = LayerNorm(width, epsilon=epsilon)
        self.unembedding = nn.Linear(width, size, bias=False)
        self.unembedding.weight = embedding.weight
        self.bias = nn.Parameter(torch.zeros(size))

    def forward(self, x: Float[Tensor, "*B D"]) -> Float[Tensor, "*B V"]:
        return self.unembedding(self.norm(self.activation(self.dense(x)))) + self.bias


class Pooler(nn.Module):
    """Makes of a text's first vector the one that stands for all of it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dense = nn.Linear(width, width)

    def forward(self, x: Float[Tensor, "*B D"]) -> Float[Tensor, "*B D"]:
        return torch.tanh(self.dense(x))


class Classifier(nn.Module):
    """A body, and above it one linear map from one vector of a text to its classes.

    `reads` says where that vector stands: at the `first` token, which reads the whole text, or at
    the `last`, the only one that a decoder has let read it all. `temperature` divides the logits
    into probabilities (Guo et al. 2017, section 4.2); it is fitted after learning, not learned.
    """

    def __init__(
        self,
        body: nn.Module,
        *,
        labels: Sequence[str],
        reads: Literal["first", "last"],
        dropout: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.body = body
        self.config = cast(Any, body.config)
        self.labels = tuple(labels)
        self.reads = reads
        width = int(self.config.width)
        self.pooler: nn.Module = Pooler(width) if reads == "first" else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.classes = nn.Linear(width, len(self.labels))
        self.temperature = nn.Parameter(torch.ones(()), requires_grad=False)
        for part in (self.pooler, self.classes):
            init.bert(part, generator=generator or torch.Generator())

    def hidden(
        self,
        tokens: Int[Tensor, "B T"],
        *,
        documents: Int[Tensor, "B T"] | None = None,
        segments: Int[Tensor, "B T"] | None = None,
    ) -> Float[Tensor, "B T D"]:
        """The vectors of the body; a decoder knows no segments."""
        if self.reads == "first":
            return self.body(tokens, documents=documents, segments=segments)
        return self.body.hidden(tokens, documents=documents)  # type: ignore[operator]

    def scores(self, x: Float[Tensor, "*B D"]) -> Float[Tensor, "*B classes"]:
        """Logits of the classes, from the vectors that are read; not yet calibrated."""
        return self.classes(self.dropout(self.pooler(x)))

    def forward(
        self,
        tokens: Int[Tensor, "B T"],
        *,
        places: Int[Tensor, "B texts"],
        documents: Int[Tensor, "B T"] | None = None,
        segments: Int[Tensor, "B T"] | None = None,
    ) -> Float[Tensor, "B texts classes"]:
        """Calibrated logits of the texts whose vectors stand at `places` of each row."""
        x = self.hidden(tokens, documents=documents, segments=segments)
        return self.scores(at_places(x, places)) / self.temperature


def at_places(x: Float[Tensor, "B T D"], places: Int[Tensor, "B W"]) -> Float[Tensor, "B W D"]:
    """The vectors that stand at some places of each row."""
    return x.gather(1, places[..., None].expand(-1, -1, x.shape[-1]))
