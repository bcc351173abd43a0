"""A decoder made to learn in minutes (Jordan et al. 2024, the NanoGPT speedrun).

What differs from the Llama style: norms without gains, squared ReLU, blocks that read the embedding
again, capped logits, output projections that start at zero, and vectors for pairs and triples of
tokens and for the letters of a token, which cost memory but hardly any multiplication.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from cutaway.nn import init
from cutaway.nn.attention import Attention
from cutaway.nn.cache import KeyValueCache, LayerCache
from cutaway.nn.feedforward import MLP, SquaredReLU
from cutaway.nn.masks import Mask
from cutaway.nn.norm import UnitRMSNorm
from cutaway.nn.position import Rotary
from cutaway.nn.stack import DecoderStack, positions_of
from cutaway.nn.tap import Tap


@dataclass(frozen=True, kw_only=True)
class SpeedrunConfig:
    """The sizes of a speedrun decoder."""

    vocab_size: int
    """Tokens in the vocabulary."""
    context_length: int
    """Tokens that the model can read at once."""
    width: int
    """Numbers in a vector of the residual stream."""
    num_layers: int
    """Blocks."""
    num_heads: int
    """Attention heads of a block; must divide the width into even parts."""
    pair_rows: int = 0
    """Rows of the table for pairs of tokens; 0: no table."""
    triple_rows: int = 0
    """Rows of the table for triples of tokens; 0: no table."""
    spelled_bytes: int = 0
    """First bytes of a token that the model is told; 0: it must find out how tokens are spelled."""
    table_width: int = 64
    """Numbers in a row of these tables."""
    logit_cap: float = 15.0
    """Logits stay between minus and plus this."""
    query_key_scale: float = 1.2
    """What attention scores are multiplied by, over the usual 1 / sqrt(C), after the norm."""
    dropout: float = 0.0
    """Share of what a part adds to the stream that is zeroed in training, 0 to 1."""

    def __post_init__(self) -> None:
        if self.width % self.num_heads or (self.width // self.num_heads) % 2:
            raise ValueError(
                f"num_heads {self.num_heads} does not cut width {self.width} into even parts; "
                "choose a number of heads that does"
            )


class RereadingBlock(nn.Module):
    """A pre-norm block that mixes the embedding into what it reads, by two learned numbers."""

    def __init__(self, attention: Attention, feedforward: MLP, *, dropout: float) -> None:
        super().__init__()
        self.attention, self.feedforward = attention, feedforward
        self.norm = UnitRMSNorm()
        self.mix = nn.Parameter(torch.tensor([1.0, 0.0]))
        self.dropout = nn.Dropout(dropout)
        self.middle, self.residual = Tap(), Tap()

    def forward(
        self,
        x: Float[Tensor, "B T D"],
        *,
        first: Float[Tensor, "B T D"],
        mask: Mask,
        positions: Int[Tensor, "#B T"],
        cache: LayerCache | None = None,
    ) -> Float[Tensor, "B T D"]:
        x = self.mix[0] * x + self.mix[1] * first
        read = self.attention(self.norm(x), mask=mask, positions=positions, cache=cache)
        x = self.middle(x + self.dropout(read))
        return self.residual(x + self.dropout(self.feedforward(self.norm(x))))


class TokenGroups(nn.Module):
    """A vector for each group of the last `size` tokens, found in a table by a hash.

    Groups that share a row share its vector; the model learns to live with that (Svenstrup et al.
    2017, section 3). A document's first tokens form groups with "no token".
    """

    # Odd numbers without a pattern; they only scatter the groups over the rows.
    FACTORS = (27_191, 36_313, 51_787)

    def __init__(self, *, size: int, rows: int, table_width: int, width: int) -> None:
        super().__init__()
        self.size, self.rows = size, rows
        self.table = nn.Embedding(rows, table_width)
        self.projection = nn.Linear(table_width, width, bias=False)

    def forward(
        self, tokens: Int[Tensor, "B T"], *, before: Int[Tensor, "B T N"]
    ) -> Float[Tensor, "B T D"]:
        row = (tokens + 1) * self.FACTORS[0]
        for distance in range(1, self.size):
            row = row ^ ((before[..., distance - 1] + 1) * self.FACTORS[distance])
        return self.projection(self.table(row % self.rows))


class TokenSpelling(nn.Module):
    """A vector for what a token is spelled with: one for each of its first bytes, by its place.

    Tokens that look alike begin alike, and a rare token need not be met often before the model can
    spell it (Bojanowski et al. 2017, section 3.2, with places instead of n-grams).
    """

    NO_BYTE = 256

    def __init__(self, *, vocab_size: int, places: int, table_width: int, width: int) -> None:
        super().__init__()
        unknown = torch.full((vocab_size, places), self.NO_BYTE, dtype=torch.int64)
        self.bytes = nn.Parameter(unknown, requires_grad=False)
        self.table = nn.Embedding(places * (self.NO_BYTE + 1), table_width)
        self.projection = nn.Linear(table_width, width, bias=False)

    @torch.no_grad()
    def tell(self, spellings: Sequence[bytes]) -> None:
        """Takes the bytes of every token, by its id; a leading space is left out."""
        for token, spelling in enumerate(spellings):
            letters = list(spelling.removeprefix(b" "))[: self.bytes.shape[1]]
            self.bytes[token, : len(letters)] = torch.tensor(letters, dtype=torch.int64)

    def forward(self, tokens: Int[Tensor, "B T"]) -> Float[Tensor, "B T D"]:
        # Clamped: a damaged file must not make the look-up leave the table.
        letters = self.bytes.clamp(0, self.NO_BYTE)[tokens]
        place = torch.arange(letters.shape[-1], device=letters.device) * (self.NO_BYTE + 1)
        return self.projection(self.table(letters + place).sum(dim=-2))


class Speedrun(nn.Module):
    """Tokens and their groups to vectors, blocks, then the next token's logits."""

    def __init__(self, config: SpeedrunConfig, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.embedding = nn.Embedding(config.vocab_size, width)
        self.groups = nn.ModuleList(
            TokenGroups(size=size, rows=rows, table_width=config.table_width, width=width)
            for size, rows in ((2, config.pair_rows), (3, config.triple_rows))
            if rows
        )
        self.spelling = (
            TokenSpelling(
                vocab_size=config.vocab_size,
                places=config.spelled_bytes,
                table_width=config.table_width,
                width=width,
            )
            if config.spelled_bytes
            else None
        )
        self.norm = UnitRMSNorm()
        self.embedded = Tap()
        channels = width // config.num_heads
        rotary = Rotary(config.context_length, channels)
        self.stack = DecoderStack(
            [
                RereadingBlock(
                    Attention(
                        width,
                        config.num_heads,
                        rotary=rotary,
                        query_norm=UnitRMSNorm(scale=config.query_key_scale),
                        key_norm=UnitRMSNorm(),
                    ),
                    MLP(width, 4 * width, activation=SquaredReLU(), bias=False),
                    dropout=config.dropout,
                )
                for _ in range(config.num_layers)
            ],
            windows=[None] * config.num_layers,
            norm=UnitRMSNorm(),
        )
        self.unembedding = nn.Linear(width, config.vocab_size, bias=False)
        self.logits = Tap()
        self._initialize(generator or torch.Generator())

    def _initialize(self, generator: torch.Generator) -> None:
        init.fan_in(self, generator=generator)
        init.normal(self.embedding.weight, spread=1.0, generator=generator)
        nn.init.zeros_(self.unembedding.weight)
        for group in self.groups:
            nn.init.zeros_(group.get_parameter("table.weight"))
        if self.spelling is not None:
            nn.init.zeros_(self.spelling.table.weight)

    def forward(
        self,
        tokens: Int[Tensor, "B T"],
        *,
        documents: Int[Tensor, "B T"] | None = None,
        positions: Int[Tensor, "B T"] | None = None,
        cache: KeyValueCache | None = None,
    ) -> Float[Tensor, "B T V"]:
        x = self.hidden(tokens, documents=documents, positions=positions, cache=cache)
        return self.unembed(x)

    def forward_vectors(
        self,
        vectors: Float[Tensor, "B T D"],
        *,
        documents: Int[Tensor, "B T"] | None = None,
        positions: Int[Tensor, "B T"] | None = None,
        cache: KeyValueCache | None = None,
    ) -> Float[Tensor, "B T V"]:
        """Does the same from vectors instead of tokens and their groups."""
        x = self._read(vectors, documents=documents, positions=positions, cache=cache)
        return self.unembed(x)

    def hidden(
        self,
        tokens: Int[Tensor, "B T"],
        *,
        documents: Int[Tensor, "B T"] | None = None,
        positions: Int[Tensor, "B T"] | None = None,
        cache: KeyValueCache | None = None,
    ) -> Float[Tensor, "B T D"]:
        """Returns the vectors that the unembedding reads."""
        vectors = self.embedding(tokens)
        if self.spelling is not None:
            vectors = vectors + self.spelling(tokens)
        if len(self.groups):
            if cache is not None:
                cache.require(tokens.shape[1])
                before = cache.remember(tokens, count=2)
            else:
                before = tokens_before(tokens, documents=documents, count=2)
            for group in self.groups:
                vectors = vectors + group(tokens, before=before)
        return self._read(vectors, documents=documents, positions=positions, cache=cache)

    def unembed(self, x: Float[Tensor, "B T D"]) -> Float[Tensor, "B T V"]:
        """Turns what `hidden` returns into logits."""
        cap = self.config.logit_cap
        return self.logits(cap * torch.tanh(self.unembedding(x) * (1 / cap)))

    def tell_spelling(self, spellings: Sequence[bytes]) -> None:
        """Takes the bytes of every token, by its id, where the model has a place for them."""
        if self.spelling is not None:
            self.spelling.tell(spellings)

    def new_cache(self, rows: int, length: int) -> KeyValueCache:
        """Makes an empty cache for this many rows of at most `length` tokens."""
        config, weight = self.config, self.embedding.weight
        return KeyValueCache(
            layers=config.num_layers,
            rows=rows,
            length=min(length, config.context_length),
            key_value_heads=config.num_heads,
            head_width=config.width // config.num_heads,
            dtype=weight.dtype,
            device=weight.device,
        )

    def _read(
        self,
        vectors: Float[Tensor, "B T D"],
        *,
        documents: Int[Tensor, "B T"] | None,
        positions: Int[Tensor, "B T"] | None,
        cache: KeyValueCache | None,
    ) -> Float[Tensor, "B T D"]:
        if positions is None:
            # Rotation is relative: a packed document need not start at position 0.
            positions = positions_of(vectors.shape[1], cache=cache, device=vectors.device)
        x = self.embedded(self.norm(vectors))
        return self.stack(x, positions=positions, documents=documents, cache=cache, first=x)


def tokens_before(
    tokens: Int[Tensor, "B T"], *, documents: Int[Tensor, "B T"] | None, count: int
) -> Int[Tensor, "B T N"]:
    """Returns the `count` ids before each token, nearest first; -1 beyond its document's start."""
    found = []
    for distance in range(1, count + 1):
        shifted = nn.functional.pad(tokens[:, :-distance], (distance, 0), value=-1)
        if documents is not None:
            same = nn.functional.pad(documents[:, :-distance], (distance, 0), value=-1) == documents
            shifted = torch.where(same, shifted, -1)
        found.append(shifted[:, : tokens.shape[1]])
    return torch.stack(found, dim=-1)
