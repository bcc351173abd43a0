"""BERT (Devlin et al. 2018, section 3): every token reads its whole text, and words are hidden."""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from cutaway.models.heads import Pooler, WordHead
from cutaway.nn import init
from cutaway.nn.attention import Attention
from cutaway.nn.block import PostNormBlock
from cutaway.nn.feedforward import ACTIVATIONS, MLP
from cutaway.nn.norm import LayerNorm
from cutaway.nn.position import LearnedPosition, within_documents
from cutaway.nn.stack import EncoderStack
from cutaway.nn.tap import Tap


@dataclass(frozen=True, kw_only=True)
class BertConfig:
    """The sizes of a BERT."""

    vocab_size: int
    """Tokens in the vocabulary."""
    context_length: int
    """Tokens that the model can read at once."""
    width: int
    """Numbers in a vector of the residual stream."""
    num_layers: int
    """Blocks."""
    num_heads: int
    """Attention heads of a block; must divide the width."""
    hidden_width: int
    """Width of the feed-forward part."""
    num_segments: int = 2
    """Kinds of text in one row, such as a question and an answer."""
    activation: Literal["gelu_tanh", "gelu", "relu", "silu"] = "gelu"
    """Of the feed-forward part."""
    norm_epsilon: float = 1e-12
    """Added to the variance before its root."""
    dropout: float = 0.0
    """Share of activations zeroed in training, 0 to 1."""
    heads: Literal["none", "words", "words_and_order"] = "none"
    """What stands on the encoder: nothing, what names hidden words, or that and what says whether
    the second part of a text follows the first."""

    def __post_init__(self) -> None:
        if self.width % self.num_heads:
            raise ValueError(
                f"num_heads {self.num_heads} does not divide width {self.width}; "
                "choose a number of heads that does"
            )


class Bert(nn.Module):
    """Tokens, places and segments to vectors, then blocks: one vector for each token.

    `words` and `order` turn vectors into answers where the config asks for such heads.
    """

    def __init__(self, config: BertConfig, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.config = config
        width, epsilon = config.width, config.norm_epsilon
        self.embedding = nn.Embedding(config.vocab_size, width)
        self.position = LearnedPosition(config.context_length, width)
        self.segment = nn.Embedding(config.num_segments, width)
        self.norm = LayerNorm(width, epsilon=epsilon)
        self.dropout = nn.Dropout(config.dropout)
        self.embedded = Tap()
        self.stack = EncoderStack(
            [
                PostNormBlock(
                    Attention(width, config.num_heads, bias=True, output_bias=True),
                    MLP(
                        width,
                        config.hidden_width,
                        activation=ACTIVATIONS[config.activation](),
                        bias=True,
                    ),
                    attention_norm=LayerNorm(width, epsilon=epsilon),
                    feedforward_norm=LayerNorm(width, epsilon=epsilon),
                    dropout=config.dropout,
                )
                for _ in range(config.num_layers)
            ],
            norm=nn.Identity(),  # a post-norm block has normalised its own output already
        )
        self.words: WordHead | None = None
        self.pooler: Pooler | None = None
        self.order: nn.Linear | None = None
        if config.heads != "none":
            activation = ACTIVATIONS[config.activation]()
            self.words = WordHead(self.embedding, activation=activation, epsilon=epsilon)
        if config.heads == "words_and_order":
            self.pooler = Pooler(width)
            self.order = nn.Linear(width, 2)
        init.bert(self, generator=generator or torch.Generator())

    def forward(
        self,
        tokens: Int[Tensor, "B T"],
        *,
        documents: Int[Tensor, "B T"] | None = None,
        segments: Int[Tensor, "B T"] | None = None,
    ) -> Float[Tensor, "B T D"]:
        """The vectors; document 0 is padding, and packed documents do not see each other."""
        if documents is None:
            positions = torch.arange(tokens.shape[1], device=tokens.device)[None]
        else:
            positions = within_documents(documents)
        if segments is None:
            segments = torch.zeros_like(tokens)
        x = self.embedding(tokens) + self.position(positions) + self.segment(segments)
        x = self.embedded(self.dropout(self.norm(x)))
        return self.stack(x, positions=positions, documents=documents)

    def name_words(self, x: Float[Tensor, "*B D"]) -> Float[Tensor, "*B V"]:
        """Logits of the word that stood where each vector stands (section 3.1, task 1)."""
        if self.words is None:
            raise ValueError(f"this BERT has heads={self.config.heads}, none that names words")
        return self.words(x)

    def judge_order(self, x: Float[Tensor, "*B D"]) -> Float[Tensor, "*B 2"]:
        """Logits of "follows" and "does not", from the first vector of a text (task 2)."""
        if self.pooler is None or self.order is None:
            raise ValueError(f"this BERT has heads={self.config.heads}, none that judges order")
        return self.order(self.pooler(x))


@torch.no_grad()
def without_heads(model: Bert) -> Bert:
    """The encoder alone, with the same weights."""
    bare = Bert(replace(model.config, heads="none"))
    own = dict(model.named_parameters())
    for name, weight in bare.named_parameters():
        weight.copy_(own[name])
    return bare.train(model.training)


def mean_vectors(
    x: Float[Tensor, "B T D"], *, documents: Int[Tensor, "B T"]
) -> Float[Tensor, "B D"]:
    """One vector of length 1 for each row: the mean over its tokens (Reimers and Gurevych 2019, 3).

    "Sentence-BERT: Sentence Embeddings using Siamese BERT-Networks".
    """
    is_read = (documents > 0)[..., None].to(x.dtype)
    mean = (x * is_read).sum(dim=1) / is_read.sum(dim=1).clamp(min=1)
    return nn.functional.normalize(mean, dim=-1)
