"""How much each place of the source matters to a query (Bahdanau 2015, 3.1; Luong 2015, 3.1)."""

import math
from abc import ABC, abstractmethod

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from cutaway.nn.tap import Tap


class Alignment(nn.Module, ABC):
    """Scores, their softmax and the weighted sum: the context (Bahdanau 2015, eq. 5 and 6).

    `weights` holds the alignment matrix: a row for each place of the target.
    """

    def __init__(self) -> None:
        super().__init__()
        self.scores, self.weights, self.context = Tap(), Tap(), Tap()

    @abstractmethod
    def keys(self, memory: Float[Tensor, "B S E"]) -> Float[Tensor, "B S N"]:
        """Returns the part of the score that needs the source alone: it is computed once."""

    @abstractmethod
    def score(
        self, query: Float[Tensor, "B Q F"], keys: Float[Tensor, "B S N"]
    ) -> Float[Tensor, "B Q S"]:
        """Says how well each query and each place of the source fit."""

    def forward(
        self,
        query: Float[Tensor, "B Q F"],
        *,
        keys: Float[Tensor, "B S N"],
        memory: Float[Tensor, "B S E"],
        allowed: Bool[Tensor, "B S"] | None,
    ) -> Float[Tensor, "B Q E"]:
        """Returns the context of each query; `allowed` is True where the source has a token."""
        scores = self.scores(self.score(query, keys))
        if allowed is not None:
            scores = scores.masked_fill(~allowed[:, None], -math.inf)
        # In fp32 even when the scores are bf16, as attention has it.
        weights = self.weights(scores.softmax(dim=-1, dtype=torch.float32))
        return self.context(weights.to(memory.dtype) @ memory)


class Additive(Alignment):
    """v tanh(W query + U memory), a network with one hidden layer (Bahdanau 2015, A.1.2)."""

    def __init__(self, query_width: int, memory_width: int, *, width: int) -> None:
        super().__init__()
        self.query_projection = nn.Linear(query_width, width, bias=False)
        self.key_projection = nn.Linear(memory_width, width, bias=False)
        self.score_projection = nn.Linear(width, 1, bias=False)

    def keys(self, memory: Float[Tensor, "B S E"]) -> Float[Tensor, "B S N"]:
        return self.key_projection(memory)

    def score(
        self, query: Float[Tensor, "B Q F"], keys: Float[Tensor, "B S N"]
    ) -> Float[Tensor, "B Q S"]:
        mixed = torch.tanh(self.query_projection(query)[:, :, None] + keys[:, None])
        return self.score_projection(mixed).squeeze(-1)


class Concat(Alignment):
    """v tanh(W [query; memory]) (Luong 2015, eq. 8).

    The same function as `Additive` with its two matrices side by side in one; the paper asks with
    the state after the step, where Bahdanau asks with the state before it.
    """

    def __init__(self, query_width: int, memory_width: int, *, width: int) -> None:
        super().__init__()
        self.query_width = query_width
        self.pair_projection = nn.Linear(query_width + memory_width, width, bias=False)
        self.score_projection = nn.Linear(width, 1, bias=False)

    def keys(self, memory: Float[Tensor, "B S E"]) -> Float[Tensor, "B S N"]:
        return nn.functional.linear(memory, self.pair_projection.weight[:, self.query_width :])

    def score(
        self, query: Float[Tensor, "B Q F"], keys: Float[Tensor, "B S N"]
    ) -> Float[Tensor, "B Q S"]:
        asked = nn.functional.linear(query, self.pair_projection.weight[:, : self.query_width])
        return self.score_projection(torch.tanh(asked[:, :, None] + keys[:, None])).squeeze(-1)


class Dot(Alignment):
    """The dot product of query and memory, which must be equally wide (Luong 2015, eq. 8)."""

    def keys(self, memory: Float[Tensor, "B S E"]) -> Float[Tensor, "B S N"]:
        return memory

    def score(
        self, query: Float[Tensor, "B Q F"], keys: Float[Tensor, "B S N"]
    ) -> Float[Tensor, "B Q S"]:
        return query @ keys.transpose(1, 2)


class General(Alignment):
    """query W memory: a dot product in which the memory is turned first (Luong 2015, eq. 8)."""

    def __init__(self, query_width: int, memory_width: int) -> None:
        super().__init__()
        self.key_projection = nn.Linear(memory_width, query_width, bias=False)

    def keys(self, memory: Float[Tensor, "B S E"]) -> Float[Tensor, "B S N"]:
        return self.key_projection(memory)

    def score(
        self, query: Float[Tensor, "B Q F"], keys: Float[Tensor, "B S N"]
    ) -> Float[Tensor, "B Q S"]:
        return query @ keys.transpose(1, 2)
