"""Encoder-decoder training tokens per second: our Transformer beside transformers' Marian.

Same shape, same pairs, same number of threads, the same machine in turn; a step is what it is in
`encoder.py`. Pairs are verses of the King James Bible with the same in Basic English (mixed
lengths), or both texts cut to rows that are full. Only real tokens of the targets count. Ours packs
pairs into rows of one shape; the peer is padded to the longest of a batch and run eagerly, or
padded to one length and compiled, in the precision of ours.
"""

import itertools
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import encoder
import interleaved
from interleaved import Comparison, Contestant

if TYPE_CHECKING:
    import torch

    Ids = list[list[int]]
    """Texts without the tokens that begin and end them."""

SIZES = {
    "vocab_size": 8000,
    "context_length": 128,
    "width": 256,
    "num_layers": 3,
    "num_heads": 8,
    "hidden_width": 1024,
}
ROWS, LENGTH = 20, 128
"""Rows of a step, and places of a row: 2,560 of the targets."""
BEGIN, END, PADDING = 0, 0, 1
"""Ids of the tokens that stand at the ends and behind them, for the peer."""


def main() -> None:
    """Measures one contestant where the parent asks for it, else all of them in turn."""
    parser = interleaved.options(str(__doc__), runs=3)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each run, warm-up aside")
    arguments = parser.parse_args()
    if arguments.only:
        kind, texts = arguments.only.split("/")
        _measure(kind, texts=texts, seconds=arguments.seconds)
        return
    contestants = [
        Contestant(
            name=f"{texts}: {told}",
            words=("--only", f"{kind}/{texts}", "--seconds", str(arguments.seconds)),
        )
        for texts in encoder.TEXTS
        for kind, told in encoder.TOLD.items()
    ]
    comparisons = [
        Comparison(
            name=f"{texts} against {peer}",
            ours=f"{texts}: {encoder.TOLD['ours']}",
            peer=f"{texts}: {encoder.TOLD[peer]}",
            unit="real tokens of targets/s",
        )
        for texts in encoder.TEXTS
        for peer in ("eager", "compiled")
    ]
    runs = interleaved.run_in_turn(Path(__file__), contestants, runs=arguments.runs)
    interleaved.report(comparisons, runs, arguments=arguments)


def _measure(kind: str, *, texts: str, seconds: float) -> None:
    from cutaway import devices

    devices.prepare_process()
    devices.keep_freed_memory()
    devices.set_threads()
    pairs = _pairs(texts)
    if kind == "ours":
        _measure_ours(pairs, seconds=seconds)
    else:
        _measure_peer(pairs, seconds=seconds, is_compiled=kind == "compiled")


def _pairs(texts: str) -> "tuple[Ids, Ids]":
    """Sources and targets: verses, or both texts cut to rows that are full."""
    from cutaway.text.corpora import ParallelCorpus, corpus
    from cutaway.tokenizer import fast

    bible = corpus("king-james", ParallelCorpus)
    verses = list(bible.pairs("train", source="king-james", target="basic-english"))
    sides = [[pair.source for pair in verses], [pair.target for pair in verses]]
    tokenizer = fast.train(sides[0] + sides[1], vocab_size=SIZES["vocab_size"])
    sources, targets = (tokenizer.encode_batch(side) for side in sides)
    room = LENGTH - 1
    if texts == "full":
        full = [_cut(side, room=room) for side in (sources, targets)]
        both = min(map(len, full))  # one text is longer than the other
        return full[0][:both], full[1][:both]
    return [each[:room] for each in sources], [each[:room] for each in targets]


def _cut(texts: "Ids", *, room: int) -> "Ids":
    joined = list(itertools.chain.from_iterable(texts))
    return [joined[at : at + room] for at in range(0, len(joined) - room, room)]


def _measure_ours(pairs: "tuple[Ids, Ids]", *, seconds: float) -> None:
    from cutaway.data.pair_loaders import PackedPairs
    from cutaway.data.pairs import PairShards
    from cutaway.data.shards import write_shards
    from cutaway.devices import seeded_generator
    from cutaway.models.catalog import build
    from cutaway.training.objectives import SourceToTarget

    model = build(
        {"architecture": "transformer", "dropout": 0.0, **SIZES},
        generator=seeded_generator(0, "weights"),
    )
    sources, targets = pairs
    with tempfile.TemporaryDirectory() as folder:
        sides = {
            name: write_shards(
                (([*before, *each, END], None) for each in texts),
                Path(folder) / name,
                vocab_size=SIZES["vocab_size"],
            )
            for name, texts, before in (("source", sources, []), ("target", targets, [BEGIN]))
        }
        loader = PackedPairs(
            PairShards(source=sides["source"], target=sides["target"]),
            rows=ROWS,
            row_length=LENGTH,
            context_length=LENGTH,
            seed=0,
        )
        encoder.train_ours(model, loader, objective=SourceToTarget(), seconds=seconds)


def _measure_peer(pairs: "tuple[Ids, Ids]", *, seconds: float, is_compiled: bool) -> None:
    import torch
    from transformers import MarianConfig, MarianMTModel

    torch.manual_seed(0)
    width, layers, heads = SIZES["width"], SIZES["num_layers"], SIZES["num_heads"]
    config = MarianConfig(
        vocab_size=SIZES["vocab_size"],
        d_model=width,
        encoder_layers=layers,
        decoder_layers=layers,
        encoder_attention_heads=heads,
        decoder_attention_heads=heads,
        encoder_ffn_dim=SIZES["hidden_width"],
        decoder_ffn_dim=SIZES["hidden_width"],
        max_position_embeddings=SIZES["context_length"],
        activation_function="relu",
        scale_embedding=True,
        dropout=0.0,
        pad_token_id=PADDING,
        eos_token_id=END,
        decoder_start_token_id=BEGIN,
        forced_eos_token_id=None,
    )
    batches = _Padded(pairs, length=LENGTH if is_compiled else None)
    model = MarianMTModel(config).train()
    encoder.train_peer(model, batches.draw, is_compiled=is_compiled, seconds=seconds)


class _Padded:
    """Random pairs, padded behind as transformers' collator for pairs does it."""

    def __init__(self, pairs: "tuple[Ids, Ids]", *, length: int | None) -> None:
        import torch

        self._pairs, self._length = pairs, length
        sizes = [len(each) + 1 for each in pairs[1]]
        self._rows = round(ROWS * LENGTH * len(sizes) / sum(sizes))
        self._generator = torch.Generator().manual_seed(0)

    def draw(self) -> "tuple[dict[str, torch.Tensor], int]":
        """A batch, and the real tokens of its targets."""
        import torch

        sources, targets = self._pairs
        few = (self._rows,)
        chosen = torch.randint(len(sources), few, generator=self._generator).tolist()
        source, read = self._padded([sources[each] for each in chosen])
        target, written = self._padded([targets[each] for each in chosen])
        batch: dict[str, Any] = {
            "input_ids": source,
            "attention_mask": read.long(),
            "labels": target.masked_fill(~written, -100),
        }
        return batch, int(written.sum())

    def _padded(self, texts: "Ids") -> "tuple[torch.Tensor, torch.Tensor]":
        import torch

        rows = [torch.tensor([*each, END]) for each in texts]
        sizes = torch.tensor([len(row) for row in rows])
        tokens = torch.full((len(rows), self._length or int(sizes.max())), PADDING)
        for place, row in enumerate(rows):
            tokens[place, : len(row)] = row
        return tokens, torch.arange(tokens.shape[1]) < sizes[:, None]


if __name__ == "__main__":
    main()
