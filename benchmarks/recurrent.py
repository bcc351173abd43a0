"""Tokens per second through recurrent layers and their decoders, beside torch's own layers.

Forward and backward, fp32 and under autocast to bf16, the same rows in every run. A layer is beside
`torch.nn.LSTM` and `torch.nn.GRU`. The decoders that step are beside two peers: the same parts when
nothing is fed back, so that torch's kernel makes all steps in one call (what stepping costs), and
the loop over `torch.nn.GRUCell` or `LSTMCell` that tutorials write.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import interleaved
from interleaved import Comparison, Contestant

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    Made = tuple[Callable[[], Tensor], list[torch.nn.Parameter]]
    """What makes a step and returns its loss, and the weights that learn from it."""

ROWS, TOKENS, SOURCE, READ = 128, 24, 24, 18
"""Rows of a batch, the most tokens of a target, places of a source, and its tokens."""

WIDTH, HIDDEN = 256, 512
"""Numbers in the vector of a token, and in a hidden state."""

WARM_UP = 2
"""Steps before the clock starts."""

LAYERS = ("lstm", "gru")
DECODERS = {"bahdanau": "gru", "luong": "lstm"}
"""Decoders that step, with their cells: context before the step, and input feeding."""


def main() -> None:
    """Measures one contestant where the parent asks for it, else all of them in turn."""
    parser = interleaved.options(str(__doc__), runs=3)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each run, warm-up aside")
    arguments = parser.parse_args()
    if arguments.only:
        kind, what, how, precision = arguments.only.split("/")
        measure(kind, what=what, how=how, precision=precision, seconds=arguments.seconds)
        return
    contestants: list[Contestant] = []
    comparisons: list[Comparison] = []

    def add(what: str, how: str, precision: str, peers: tuple[str, ...]) -> None:
        names = {kind: f"{what}, {how}, {precision}: {kind}" for kind in ("ours", *peers)}
        for kind, name in names.items():
            only = ("--only", f"{kind}/{what}/{how}/{precision}")
            words = (*only, "--seconds", str(arguments.seconds))
            contestants.append(Contestant(name=name, words=words))
        for peer in peers:
            comparisons.append(
                Comparison(
                    name=f"{what}, {how} rows, {precision}, against {peer}",
                    ours=names["ours"],
                    peer=names[peer],
                    unit="tokens/s",
                )
            )

    for layer in LAYERS:
        add(layer, "full", "fp32", ("torch",))
        add(layer, "unequal", "fp32", ("torch",))
        add(layer, "unequal", "bf16", ("torch",))
    for decoder in DECODERS:
        add(decoder, "unequal", "bf16", ("unfed", "loop"))
    runs = interleaved.run_in_turn(Path(__file__), contestants, runs=arguments.runs)
    interleaved.report(comparisons, runs, arguments=arguments)


def measure(kind: str, *, what: str, how: str, precision: str, seconds: float) -> None:
    """Runs one contestant forward and backward for some seconds, in this process."""
    import torch

    from cutaway import devices

    devices.prepare_process()
    devices.set_threads()
    torch.manual_seed(0)
    lengths = rows_of(how)
    make = {"ours": our_layer, "torch": torch_layer}.get(kind)
    if make is None or what in DECODERS:
        make = {"ours": our_decoder, "unfed": unfed_decoder, "loop": looped_decoder}[kind]
    step, weights = make(what, lengths)
    begin, steps = 0.0, 0
    while True:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
            loss = step()
        loss.backward()
        for weight in weights:
            weight.grad = None
        steps += 1
        if steps == WARM_UP:
            begin = time.perf_counter()
        elif steps > WARM_UP and time.perf_counter() - begin >= seconds:
            break
    rate = (steps - WARM_UP) * int(lengths.sum()) / (time.perf_counter() - begin)
    interleaved.hand_over(value=rate, parameters=sum(weight.numel() for weight in weights))


def rows_of(how: str) -> "Tensor":
    """Lengths of the rows: all full, or as unequal as translations in a bucket of 24 are."""
    import torch

    if how == "full":
        return torch.full((ROWS,), TOKENS)
    generator = torch.Generator().manual_seed(1)
    return torch.randint(TOKENS // 2, TOKENS + 1, (ROWS,), generator=generator)


def our_layer(what: str, lengths: "Tensor") -> "Made":
    """Our layer over rows that are laid out once."""
    import torch

    from cutaway.nn.places import places_of
    from cutaway.nn.recurrent import GRUCell, LSTMCell, RecurrentLayer

    layer = RecurrentLayer([{"lstm": LSTMCell, "gru": GRUCell}[what](WIDTH, HIDDEN)])
    x = torch.randn(ROWS, TOKENS, WIDTH, requires_grad=True)

    def step() -> "Tensor":
        full = bool((lengths == TOKENS).all())
        places = places_of(ROWS, TOKENS, lengths=None if full else lengths)
        y, _ = layer(places.pack(x), places=places)
        return places.unpack(y).float().square().sum()

    return step, list(layer.parameters())


def torch_layer(what: str, lengths: "Tensor") -> "Made":
    """Torch's layer, and its packed sequences where the rows are unequal."""
    import torch
    from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

    layer = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[what](WIDTH, HIDDEN, batch_first=True)
    x = torch.randn(ROWS, TOKENS, WIDTH, requires_grad=True)

    def step() -> "Tensor":
        if bool((lengths == TOKENS).all()):
            return layer(x)[0].float().square().sum()
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        y, _ = pad_packed_sequence(layer(packed)[0], batch_first=True)
        return y.float().square().sum()

    return step, list(layer.parameters())


def our_decoder(what: str, lengths: "Tensor") -> "Made":
    """The decoder of our model, from embedded tokens to the vectors that are unembedded."""
    import torch

    from cutaway.models.encoder_decoder import Memory
    from cutaway.models.seq2seq import Seq2Seq, Seq2SeqConfig

    model = Seq2Seq(
        Seq2SeqConfig(
            vocab_size=1000,
            context_length=TOKENS,
            width=WIDTH,
            hidden_width=HIDDEN,
            num_layers=1,
            cell=DECODERS[what],  # type: ignore[arg-type]
            attention="additive" if what == "bahdanau" else "general",
            feeding="context" if what == "bahdanau" else "attended",
        ),
        generator=torch.Generator().manual_seed(0),
    )
    x, source = torch.randn(ROWS, SOURCE, 2 * HIDDEN), (torch.arange(SOURCE) < READ).long()
    documents = (torch.arange(TOKENS) < lengths[:, None]).long()
    tokens = torch.randint(1000, (ROWS, TOKENS), generator=torch.Generator().manual_seed(2))
    parts = 1 if what == "bahdanau" else 2

    def step() -> "Tensor":
        memory = Memory(
            vectors=x, documents=source.expand(ROWS, -1), state=x.new_zeros(parts, ROWS, HIDDEN)
        )
        return model.hidden(tokens, memory, documents=documents).float().square().sum()

    return step, [*model.decoder.parameters(), model.target_embedding.weight]


def unfed_decoder(what: str, lengths: "Tensor") -> "Made":
    """The same matrices when nothing is fed back: torch's kernel, then attention all at once."""
    import torch
    from torch import nn
    from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

    attention = Attention(what)
    cell = {"gru": nn.GRU, "lstm": nn.LSTM}[DECODERS[what]]
    layer = cell(WIDTH + attention.fed_width, HIDDEN, batch_first=True)
    constant = torch.randn(ROWS, TOKENS, attention.fed_width)

    def step() -> "Tensor":
        token = attention.embedding(attention.tokens)
        brought = torch.cat([token, constant], dim=-1)
        packed = pack_padded_sequence(brought, lengths, batch_first=True, enforce_sorted=False)
        y, _ = pad_packed_sequence(layer(packed)[0], batch_first=True)
        context = attention.attend(y, attention.keys())
        return attention.output(y, token, context).float().square().sum()

    return step, [*layer.parameters(), *attention.weights]


def looped_decoder(what: str, lengths: "Tensor") -> "Made":
    """The same function in a loop over torch's cell, which steps through the padding too."""
    import torch
    from torch import nn

    attention = Attention(what)
    is_lstm = DECODERS[what] == "lstm"
    cell = (nn.LSTMCell if is_lstm else nn.GRUCell)(WIDTH + attention.fed_width, HIDDEN)

    def step() -> "Tensor":
        hidden = memory = torch.zeros(ROWS, HIDDEN)
        fed, outputs, keys = torch.zeros(ROWS, attention.fed_width), [], attention.keys()
        for place in range(TOKENS):
            token = attention.embedding(attention.tokens[:, place])
            if what == "bahdanau":
                fed = attention.attend(hidden[:, None], keys)[:, 0]
            brought = torch.cat([token, fed], dim=-1)
            if is_lstm:
                hidden, memory = cell(brought, (hidden, memory))
            else:
                hidden = cell(brought, hidden)
            if what == "luong":
                context = attention.attend(hidden[:, None], keys)[:, 0]
                fed = attention.output(hidden, token, context)
                outputs.append(fed)
            else:
                outputs.append(attention.output(hidden, token, fed))
        return torch.stack(outputs, dim=1).float().square().sum()

    return step, [*cell.parameters(), *attention.weights]


class Attention:
    """What a decoder has beside its cell, in torch's words."""

    def __init__(self, what: str) -> None:
        import torch
        from torch import nn

        self.what = what
        self.fed_width = 2 * HIDDEN if what == "bahdanau" else WIDTH
        self.embedding = nn.Embedding(1000, WIDTH)
        self.key = nn.Linear(2 * HIDDEN, HIDDEN, bias=False)
        self.parts: list[nn.Module] = [self.embedding, self.key]
        if what == "bahdanau":
            self.query = nn.Linear(HIDDEN, HIDDEN, bias=False)
            self.score = nn.Linear(HIDDEN, 1, bias=False)
            self.out = nn.Linear(HIDDEN + WIDTH + 2 * HIDDEN, 2 * WIDTH)
            self.parts += [self.query, self.score, self.out]
        else:
            self.out = nn.Linear(HIDDEN + 2 * HIDDEN, WIDTH, bias=False)
            self.parts += [self.out]
        self.x = torch.randn(ROWS, SOURCE, 2 * HIDDEN)
        self.blocked = torch.arange(SOURCE) >= READ
        self.tokens = torch.randint(
            1000, (ROWS, TOKENS), generator=torch.Generator().manual_seed(2)
        )

    @property
    def weights(self) -> "list[torch.nn.Parameter]":
        """All that learns."""
        return [weight for part in self.parts for weight in part.parameters()]

    def keys(self) -> "Tensor":
        """What the scores need of the source, once for all steps."""
        return self.key(self.x)

    def attend(self, states: "Tensor", keys: "Tensor") -> "Tensor":
        """The context of each state."""
        import torch

        if self.what == "bahdanau":
            mixed = torch.tanh(self.query(states)[:, :, None] + keys[:, None])
            scores = self.score(mixed)[..., 0]
        else:
            scores = states @ keys.transpose(1, 2)
        weights = scores.masked_fill(self.blocked, float("-inf")).softmax(dim=-1)
        return weights.to(self.x.dtype) @ self.x

    def output(self, states: "Tensor", tokens: "Tensor", context: "Tensor") -> "Tensor":
        """The vectors that are unembedded."""
        import torch

        if self.what == "bahdanau":
            both = self.out(torch.cat([states, tokens, context], dim=-1))
            return both.unflatten(-1, (2, -1)).amax(dim=-2)
        return torch.tanh(self.out(torch.cat([context, states], dim=-1)))


if __name__ == "__main__":
    main()
