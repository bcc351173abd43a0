"""Encoder training tokens per second: our BERT in our loop beside transformers' BertForMaskedLM.

Same shape, same texts, same share of hidden words, same number of threads, the same machine in
turn. A step is forward, backward, gradients clipped to a norm of 1, AdamW, and reading the loss.
Texts are verses of the Bible in Basic English (mixed lengths), or all of it cut to full rows.
Only real tokens count. Ours packs texts into rows of one shape and names hidden words only; the
peer is fed as its own collator feeds it: padded to the longest text of a batch and run eagerly, or
padded to one length and compiled, in the precision of ours. The better of the two is compared with.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import interleaved
from interleaved import Comparison, Contestant

if TYPE_CHECKING:
    import torch

    from cutaway.tokenizer.base import Tokenizer
    from cutaway.training.compile import Execution
    from cutaway.training.loop import Progress
    from cutaway.training.state import TrainingState

    Draw = Callable[[], tuple[dict[str, torch.Tensor], int]]
    """Gives a batch of the peer's, and how many real tokens it has."""

VOCABULARY = 8192
LENGTH = 128
"""Tokens of a row; a longer text is cut."""
TOKENS_A_STEP = 4096
"""Real tokens of a step, about, for both."""
WARM_UP = 8
"""Steps before the clock starts; the first one compiles."""
SHARE = 0.15


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Sizes of a BERT (Turc et al. 2019, "Well-Read Students Learn Better", table 1)."""

    num_layers: int
    num_heads: int
    width: int


SHAPES = {
    "tiny": Shape(num_layers=2, num_heads=2, width=128),
    "mini": Shape(num_layers=4, num_heads=4, width=256),
}
TOLD = {
    "ours": "ours, packed and compiled",
    "eager": "transformers eager, padded to the longest",
    "compiled": "transformers compiled, padded to one length",
}
"""What the table calls each kind of contestant."""
TEXTS = ("mixed", "full")


def main() -> None:
    """Measures one contestant where the parent asks for it, else all of them in turn."""
    parser = interleaved.options(str(__doc__), runs=3)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each run, warm-up aside")
    parser.add_argument("--shape", choices=[*SHAPES], default="mini")
    arguments = parser.parse_args()
    if arguments.only:
        kind, texts = arguments.only.split("/")
        _measure(kind, shape=SHAPES[arguments.shape], texts=texts, seconds=arguments.seconds)
        return
    runs: interleaved.Runs = {}
    comparisons: list[Comparison] = []
    for texts in TEXTS:
        contestants = [
            Contestant(
                name=_name(kind, texts=texts, shape=arguments.shape),
                words=(
                    *("--only", f"{kind}/{texts}", "--shape", arguments.shape),
                    *("--seconds", str(arguments.seconds)),
                ),
            )
            for kind in TOLD
        ]
        runs |= interleaved.run_in_turn(Path(__file__), contestants, runs=arguments.runs)
        comparisons += [
            Comparison(
                name=f"{arguments.shape}, {texts} against {peer}",
                ours=_name("ours", texts=texts, shape=arguments.shape),
                peer=_name(peer, texts=texts, shape=arguments.shape),
                unit="real tokens/s",
            )
            for peer in ("eager", "compiled")
        ]
    interleaved.report(comparisons, runs, arguments=arguments)


def _name(kind: str, *, texts: str, shape: str) -> str:
    return f"{shape}, {texts}: {TOLD[kind]}"


def _measure(kind: str, *, shape: Shape, texts: str, seconds: float) -> None:
    """Trains for some seconds in this process, and hands over the tokens per second."""
    from cutaway import devices

    devices.prepare_process()
    devices.keep_freed_memory()
    devices.set_threads()
    tokenizer, ids = _ids(texts)
    if kind == "ours":
        _measure_ours(shape, ids, tokenizer=tokenizer, seconds=seconds)
    else:
        _measure_peer(
            shape, ids, tokenizer=tokenizer, seconds=seconds, is_compiled=kind == "compiled"
        )


def _ids(texts: str) -> "tuple[Tokenizer, list[list[int]]]":
    """The texts as ids, without markers: verses, or chapters cut to rows that are full."""
    from cutaway.text.corpora import ParallelCorpus, corpus
    from cutaway.tokenizer import wordpiece

    bible = corpus("king-james", ParallelCorpus)
    verses = [
        pair.target for pair in bible.pairs("train", source="king-james", target="basic-english")
    ]
    tokenizer = wordpiece.train(verses, vocab_size=VOCABULARY)
    ids = tokenizer.encode_batch(verses)
    room = LENGTH - 2
    if texts == "full":
        joined = [each for verse in ids for each in verse]
        return tokenizer, [joined[at : at + room] for at in range(0, len(joined) - room, room)]
    return tokenizer, [verse[:room] for verse in ids if len(verse) > 1]


def execution() -> "Execution":
    """Precision and compilation as `devices` chooses them for this machine."""
    from cutaway import devices
    from cutaway.training.compile import Execution

    here = devices.describe_machine()
    return Execution(
        precision=devices.choose_precision(here).name,
        is_compiled=devices.choose_compilation(here).compiled,
    )


class Stopwatch:
    """A hook that counts real tokens after the warm-up and ends the run when time is up."""

    def __init__(self, *, seconds: float) -> None:
        self.seconds = seconds
        self.begin = self.end = 0.0
        self.tokens = 0

    def after_step(self, progress: "Progress") -> None:
        """Counts the step's tokens, once it is warm."""
        self.end = time.perf_counter()
        if progress.state.step <= WARM_UP:
            self.begin = self.end
            return
        self.tokens += int((progress.batch.documents > 0).sum())
        if self.end - self.begin >= self.seconds:
            progress.state.plan.steps = progress.state.step

    def at_end(self, state: "TrainingState") -> None:
        """Does nothing."""


def train_ours(model: Any, loader: Any, *, objective: Any, seconds: float) -> None:
    """Trains as `cutaway pretrain` does, by AdamW alone, and hands over the tokens per second."""
    from cutaway.training.loop import LoopConfig, train
    from cutaway.training.optimizers import AdamWConfig, FusedAdamW
    from cutaway.training.plan import Plan
    from cutaway.training.schedules import Trapezoid
    from cutaway.training.state import TrainingState

    watch = Stopwatch(seconds=seconds)
    train(
        TrainingState(
            model=model,
            optimizer=FusedAdamW(dict(model.named_parameters()), AdamWConfig()),
            plan=Plan(steps=1_000_000),
        ),
        loader,
        objective=objective,
        schedule=Trapezoid(),
        config=LoopConfig(clip_norm=1.0),
        execution=execution(),
        hooks=[watch],
    )
    interleaved.hand_over(
        value=watch.tokens / (watch.end - watch.begin),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
    )


def train_peer(model: Any, draw: "Draw", *, is_compiled: bool, seconds: float) -> None:
    """Trains a model of transformers by the plain loop, and hands over the tokens per second."""
    import torch

    step = torch.compile(model) if is_compiled else model
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    is_low = execution().precision == "bf16"
    begin, counted, number = 0.0, 0, 0
    while True:
        batch, real = draw()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=is_low):
            loss = step(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        loss.item()
        number, now = number + 1, time.perf_counter()
        if number <= WARM_UP:
            begin = now
            continue
        counted += real
        if now - begin >= seconds:
            break
    interleaved.hand_over(
        value=counted / (now - begin),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
    )


def _measure_ours(
    shape: Shape, ids: list[list[int]], *, tokenizer: "Tokenizer", seconds: float
) -> None:
    from cutaway.data.corruption import alphabet_of
    from cutaway.data.masked_loader import MaskedLoader
    from cutaway.data.masking import MaskingConfig
    from cutaway.data.shards import write_shards
    from cutaway.data.sources import TextSource
    from cutaway.devices import seeded_generator
    from cutaway.models.bert import Bert, BertConfig
    from cutaway.training.encoder_objectives import MaskedWords

    config = BertConfig(
        vocab_size=tokenizer.vocab_size,
        context_length=LENGTH,
        width=shape.width,
        num_layers=shape.num_layers,
        num_heads=shape.num_heads,
        hidden_width=4 * shape.width,
        heads="words",
    )
    model = Bert(config, generator=seeded_generator(0, "weights"))
    with tempfile.TemporaryDirectory() as folder:
        shards = write_shards(
            ((each, None) for each in ids), Path(folder) / "data", vocab_size=tokenizer.vocab_size
        )
        loader = MaskedLoader(
            [TextSource(name="texts", shards=shards)],
            alphabet=alphabet_of(tokenizer),
            config=MaskingConfig(share=SHARE, next_sentence=False),
            rows=TOKENS_A_STEP // LENGTH,
            row_length=LENGTH,
            seed=0,
        )
        train_ours(model, loader, objective=MaskedWords(), seconds=seconds)


def _measure_peer(
    shape: Shape,
    ids: list[list[int]],
    *,
    tokenizer: "Tokenizer",
    seconds: float,
    is_compiled: bool,
) -> None:
    import torch
    from transformers import BertConfig, BertForMaskedLM

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=tokenizer.vocab_size,
        max_position_embeddings=LENGTH,
        hidden_size=shape.width,
        num_hidden_layers=shape.num_layers,
        num_attention_heads=shape.num_heads,
        intermediate_size=4 * shape.width,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    model = BertForMaskedLM(config).train()
    mean = sum(len(each) + 2 for each in ids) / len(ids)
    batches = _Padded(
        ids,
        tokenizer=tokenizer,
        rows=round(TOKENS_A_STEP / mean),
        length=LENGTH if is_compiled else None,
    )
    train_peer(model, batches.draw, is_compiled=is_compiled, seconds=seconds)


class _Padded:
    """Random texts with hidden words, as transformers' collator for masked words makes them."""

    def __init__(
        self, ids: list[list[int]], *, tokenizer: "Tokenizer", rows: int, length: int | None
    ) -> None:
        import torch

        self._ids, self._rows, self._length = ids, rows, length
        self._special = tokenizer.special
        self._vocab_size = tokenizer.vocab_size
        self._generator = torch.Generator().manual_seed(0)

    def draw(self) -> "tuple[dict[str, torch.Tensor], int]":
        """A batch, and its real tokens."""
        import torch

        chosen = torch.randint(len(self._ids), (self._rows,), generator=self._generator).tolist()
        first, last = self._special["[CLS]"], self._special["[SEP]"]
        rows = [torch.tensor([first, *self._ids[each], last]) for each in chosen]
        sizes = torch.tensor([len(row) for row in rows])
        length = self._length or int(sizes.max())
        tokens = torch.zeros(self._rows, length, dtype=torch.int64)
        for place, row in enumerate(rows):
            tokens[place, : len(row)] = row
        read = torch.arange(length) < sizes[:, None]
        labels = tokens.clone()
        hidden = torch.rand(tokens.shape, generator=self._generator) < SHARE
        hidden &= read & (tokens != first) & (tokens != last)
        labels[~hidden] = -100
        how = torch.rand(tokens.shape, generator=self._generator)
        tokens[hidden & (how < 0.8)] = self._special["[MASK]"]
        other = torch.randint(self._vocab_size, tokens.shape, generator=self._generator)
        tokens = torch.where(hidden & (how >= 0.9), other, tokens)
        return {"input_ids": tokens, "attention_mask": read.long(), "labels": labels}, int(
            sizes.sum()
        )


if __name__ == "__main__":
    main()
