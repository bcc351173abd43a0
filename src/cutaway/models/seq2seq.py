"""Recurrent encoder-decoders, by setting: Sutskever 2014, Cho 2014, Bahdanau 2015, Luong 2015."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from cutaway.models.encoder_decoder import Memory
from cutaway.nn import init
from cutaway.nn.alignment import Additive, Alignment, Concat, Dot, General
from cutaway.nn.places import Places, places_of
from cutaway.nn.recurrent import (
    Cell,
    GRUCell,
    LSTMCell,
    RecurrentLayer,
    RecurrentStack,
    RNNCell,
    State,
)
from cutaway.nn.recurrent_decoder import (
    AttendedOutput,
    AttendingDecoder,
    ContextDecoder,
    DeepOutput,
    InputFeedingDecoder,
    Reading,
    RecurrentDecoder,
    StateDecoder,
    SummaryDecoder,
)
from cutaway.nn.tap import Tap

CELLS: dict[str, type[Cell]] = {"rnn": RNNCell, "gru": GRUCell, "lstm": LSTMCell}


@dataclass(frozen=True, kw_only=True)
class Seq2SeqConfig:
    """The sizes of a recurrent encoder-decoder, and what its decoder reads of the source.

    | attention | feeding  | as in |
    | off       | off      | Sutskever 2014: the first state is all that is known of the source |
    | off       | context  | Cho 2014: every step reads the same summary |
    | any other | context  | Bahdanau 2015: each step reads what it asked for |
    | any other | off      | Luong 2015 without feeding: attends when all steps are made |
    | any other | attended | Luong 2015 with input feeding |
    """

    vocab_size: int
    """Tokens in the vocabulary."""
    context_length: int
    """Tokens of the longest source, and of the longest target with the token that begins it."""
    width: int
    """Numbers in the vector of a token."""
    num_layers: int
    """Recurrent layers of the encoder, and of the decoder."""
    hidden_width: int | None = None
    """Numbers in a hidden state, in each direction; None: as many as in the vector of a token."""
    cell: Literal["rnn", "gru", "lstm"] = "gru"
    """What makes a step."""
    direction: Literal["forward", "both"] = "both"
    """Ways in which the encoder reads."""
    source_order: Literal["forward", "reversed"] = "forward"
    """Order in which the encoder reads; reversed: Sutskever 2014, section 3.3."""
    attention: Literal["off", "additive", "dot", "general", "concat"] = "additive"
    """How places of the source are scored."""
    feeding: Literal["off", "context", "attended"] = "context"
    """What a step of the decoder reads beside the token before."""
    alignment_width: int | None = None
    """Hidden width of additive and concat scores; None: the hidden width."""
    tied: bool = True
    """Whether source, target and unembedding share one matrix."""
    dropout: float = 0.0
    """Share of activations zeroed in training, 0 to 1."""

    def __post_init__(self) -> None:
        if self.attention == "off" and self.feeding == "attended":
            raise ValueError(
                "feeding='attended' feeds back what attention found, and attention is 'off'; "
                "choose feeding 'off' or 'context', or an attention"
            )
        if self.attention == "dot" and self.direction == "both":
            raise ValueError(
                "attention='dot' compares vectors of one width, and reading in both directions "
                "makes the source's twice as wide; choose 'general', or direction='forward'"
            )
        is_bare = self.attention == "off" and self.feeding == "off"
        if self.tied and is_bare and self.hidden_width not in (None, self.width):
            raise ValueError(
                f"hidden_width {self.hidden_width} is unembedded by a matrix for width "
                f"{self.width}; choose tied=False, or one width for both"
            )

    @property
    def state_width(self) -> int:
        """Numbers in a hidden state of one direction."""
        return self.width if self.hidden_width is None else self.hidden_width

    @property
    def memory_width(self) -> int:
        """Numbers in what the encoder gives for a token."""
        return self.state_width * (2 if self.direction == "both" else 1)


class RecurrentCache:
    """What a decoder carries from token to token, and the sources as its alignment reads them."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.tokens = 0
        self.reading: Reading | None = None
        self.carried: list[State] = []

    def keep(self, rows: Int[Tensor, " R"], *, sources: Int[Tensor, " N"] | None = None) -> None:
        """Keeps the given rows in the given order; `sources` are the memory's rows they read."""
        self.rows = len(rows)
        self.carried = [tuple(part[rows] for part in state) for state in self.carried]
        if sources is not None and self.reading is not None:
            self.reading = self.reading.keep(sources)


class Bridge(nn.Module):
    """Makes the decoder's first states from the encoder's last ones (Bahdanau 2015, A.2.2).

    s = tanh(W h) for the hidden state of each layer; the memory of an LSTM has no bound, so no tanh
    either.
    """

    def __init__(self, memory_width: int, state_width: int, *, layers: int, parts: int) -> None:
        super().__init__()
        self.projections = nn.ModuleList(
            nn.Linear(memory_width, state_width) for _ in range(layers * parts)
        )
        self.parts = parts

    def forward(self, ends: Float[Tensor, "L M E"]) -> Float[Tensor, "L M F"]:
        begun = []
        for index, (project, end) in enumerate(zip(self.projections, ends, strict=True)):
            projected = project(end)
            begun.append(projected if index % self.parts else torch.tanh(projected))
        return torch.stack(begun)


class Seq2Seq(nn.Module):
    """A recurrent network reads the source, another one writes the target."""

    def __init__(self, config: Seq2SeqConfig, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.config = config
        cell, width, state_width = CELLS[config.cell], config.width, config.state_width
        directions = 2 if config.direction == "both" else 1
        self.embedding = nn.Embedding(config.vocab_size, width)
        self.target_embedding = nn.Embedding(config.vocab_size, width)
        self.dropout = nn.Dropout(config.dropout)
        self.source_embedded, self.embedded = Tap(), Tap()
        self.encoder = RecurrentStack(
            [
                RecurrentLayer([cell(below, state_width) for _ in range(directions)])
                for below in [width] + [config.memory_width] * (config.num_layers - 1)
            ],
            dropout=config.dropout,
        )
        # One direction of the same width: the decoder goes on where the encoder stopped.
        self.bridge: nn.Module = nn.Identity()
        if directions == 2:
            self.bridge = Bridge(
                config.memory_width, state_width, layers=config.num_layers, parts=cell.num_parts
            )
        self.memory, self.state = Tap(), Tap()
        self.decoder = decoder_for(config)
        unembedded = state_width if isinstance(self.decoder, StateDecoder) else width
        self.unembedding = nn.Linear(unembedded, config.vocab_size, bias=False)
        self.logits = Tap()
        if config.tied:
            self.target_embedding.weight = self.unembedding.weight = self.embedding.weight
        init.recurrent(self, generator=generator or torch.Generator())

    def forward(
        self,
        source: Int[Tensor, "B S"],
        tokens: Int[Tensor, "B T"],
        *,
        source_documents: Int[Tensor, "B S"] | None = None,
        documents: Int[Tensor, "B T"] | None = None,
    ) -> Float[Tensor, "B T V"]:
        memory = self.encode(source, documents=source_documents)
        return self.decode(tokens, memory, documents=documents)

    def encode(
        self, source: Int[Tensor, "M S"], *, documents: Int[Tensor, "M S"] | None = None
    ) -> Memory:
        """Reads the sources, one in each row."""
        places = self._places(source, documents=documents)
        if self.config.source_order == "reversed":
            places = places.reversed()
        x = self.source_embedded(self.dropout(self.embedding(places.pack(source))))
        x, ends = self.encoder(x, places=places)
        last = torch.stack([places.unsort(part) for state in ends for part in state])
        return Memory(
            vectors=self.memory(places.unpack(self.dropout(x))),
            documents=documents,
            state=self.state(self.bridge(last)),
        )

    def hidden(
        self,
        tokens: Int[Tensor, "B T"],
        memory: Memory,
        *,
        documents: Int[Tensor, "B T"] | None = None,
        cache: RecurrentCache | None = None,
    ) -> Float[Tensor, "B T D"]:
        """Returns the vectors that the unembedding reads.

        Row r of the targets reads row r // (B / M) of the memory.
        """
        places = self._places(tokens, documents=documents, before=cache.tokens if cache else 0)
        if cache is None or cache.reading is None:
            reading, carried = self._read(memory), self._begin(memory, rows=len(tokens))
        else:
            reading, carried = cache.reading, cache.carried
        x = self.embedded(self.dropout(self.target_embedding(places.pack(tokens))))
        x, ends = self.decoder(
            x,
            places=places,
            reading=reading,
            carried=[tuple(places.sort(part) for part in state) for state in carried],
        )
        if cache is not None:
            cache.tokens += tokens.shape[1]
            cache.reading = reading
            cache.carried = [tuple(places.unsort(part) for part in state) for state in ends]
        return places.unpack(self.dropout(x))

    def unembed(self, x: Float[Tensor, "B T D"]) -> Float[Tensor, "B T V"]:
        """Turns what `hidden` returns into logits."""
        return self.logits(self.unembedding(x))

    def decode(
        self,
        tokens: Int[Tensor, "B T"],
        memory: Memory,
        *,
        documents: Int[Tensor, "B T"] | None = None,
        cache: RecurrentCache | None = None,
    ) -> Float[Tensor, "B T V"]:
        """Returns the logits of the next tokens."""
        return self.unembed(self.hidden(tokens, memory, documents=documents, cache=cache))

    def new_cache(self, rows: int, length: int) -> RecurrentCache:
        """Makes an empty cache for this many rows; it takes the same room whatever the length."""
        return RecurrentCache(rows)

    def _read(self, memory: Memory) -> Reading:
        assert memory.state is not None, "the memory of another model"
        vectors, parts = memory.vectors, CELLS[self.config.cell].num_parts
        allowed = torch.ones(vectors.shape[:2], dtype=torch.bool, device=vectors.device)
        if memory.documents is not None:
            allowed = memory.documents > 0
        return Reading(
            memory=vectors,
            keys=self.decoder.keys(vectors),
            allowed=allowed,
            summary=memory.state[-parts],
        )

    def _begin(self, memory: Memory, *, rows: int) -> list[State]:
        """Returns what goes into the first step; several rows may begin from one source."""
        assert memory.state is not None, "the memory of another model"
        copied = memory.state.repeat_interleave(rows // memory.state.shape[1], dim=1)
        parts = CELLS[self.config.cell].num_parts
        return self.decoder.begin([tuple(state) for state in torch.split(copied, parts)])

    def _places(
        self, tokens: Int[Tensor, "B T"], *, documents: Int[Tensor, "B T"] | None, before: int = 0
    ) -> Places:
        rows, length = tokens.shape
        if before + length > self.config.context_length:
            raise ValueError(
                f"{before + length} tokens in a row, but the model is for "
                f"{self.config.context_length} at most; give a shorter text"
            )
        if documents is None:
            return places_of(rows, length, device=tokens.device)
        lengths = (documents > 0).sum(dim=1)
        alone = (torch.arange(length, device=tokens.device) < lengths[:, None]).to(documents.dtype)
        if not documents.equal(alone):
            raise ValueError(
                "a recurrent model reads one document a row, with the padding behind it; "
                "give documents of 1 and then 0, not several in a row"
            )
        return places_of(rows, length, lengths=lengths, device=tokens.device)


def decoder_for(config: Seq2SeqConfig) -> RecurrentDecoder:
    """Puts together the decoder that the settings say, as the table of the config has it."""
    width, state_width, memory_width = config.width, config.state_width, config.memory_width
    context_width = state_width if config.attention == "off" else memory_width
    fed = {"off": 0, "context": context_width, "attended": width}[config.feeding]
    stack = RecurrentStack(
        [
            RecurrentLayer([CELLS[config.cell](below, state_width)])
            for below in [width + fed] + [state_width] * (config.num_layers - 1)
        ],
        dropout=config.dropout,
    )
    if config.attention == "off" and config.feeding == "off":
        return StateDecoder(stack)
    if config.feeding == "context":
        output = DeepOutput(state_width, width, context_width, width=width)
        if config.attention == "off":
            return SummaryDecoder(stack, output=output)
        return ContextDecoder(stack, alignment=alignment_for(config), output=output)
    attended = AttendedOutput(state_width, memory_width, width=width)
    kind = InputFeedingDecoder if config.feeding == "attended" else AttendingDecoder
    return kind(stack, alignment=alignment_for(config), output=attended)


def alignment_for(config: Seq2SeqConfig) -> Alignment:
    """Makes the scores that the settings say."""
    query, memory = config.state_width, config.memory_width
    width = config.alignment_width or query
    if config.attention == "dot":
        return Dot()
    if config.attention == "general":
        return General(query, memory)
    return (Additive if config.attention == "additive" else Concat)(query, memory, width=width)
