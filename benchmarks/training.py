"""Training tokens per second: our GPT-2 in our loop beside transformers' GPT2LMHeadModel.

Same shape, same tokens, same number of threads, same compiler cache, the same machine in turn. A
step is forward, backward, gradients clipped to a norm of 1, AdamW, and reading the loss. Ours is
the whole of `training.loop.train` with its loader; the peer cuts its batches from the same tokens.
"""

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import interleaved
from interleaved import Comparison, Contestant

if TYPE_CHECKING:
    import torch

    from cutaway.training.compile import Execution
    from cutaway.training.loop import Progress
    from cutaway.training.state import TrainingState

VOCABULARY = 65
"""Tokens of the vocabulary: the characters of tinyshakespeare."""

TOKENS = 500_000
"""Random tokens to learn from; what they say does not change how long a step takes."""

WARM_UP = 5
"""Steps before the clock starts; the first one compiles."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Sizes of a GPT-2 and of its batch."""

    num_layers: int
    num_heads: int
    width: int
    context_length: int
    rows: int


SHAPES = {
    "small": Shape(num_layers=4, num_heads=4, width=128, context_length=64, rows=12),
    "baby": Shape(num_layers=6, num_heads=6, width=384, context_length=256, rows=16),
}
"""nanoGPT's two: its command for a CPU, and its `train_shakespeare_char`."""

KINDS = ("ours", "eager", "compiled")
ALLOCATORS = {"kept": "malloc keeps memory", "default": "default malloc"}


def main() -> None:
    """Measures one contestant where the parent asks for it, else all of them in turn."""
    parser = interleaved.options(str(__doc__), runs=5)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each run, warm-up aside")
    parser.add_argument("--shape", choices=[*SHAPES, "both"], default="both")
    parser.add_argument(
        "--eager-adamw",
        choices=["default", "fused"],
        default="default",
        help="torch.optim.AdamW of the eager peer: as it comes, or fused, as transformers' Trainer",
    )
    arguments = parser.parse_args()
    if arguments.only:
        kind, allocator = arguments.only.split("/")
        measure(
            kind,
            shape=SHAPES[arguments.shape],
            seconds=arguments.seconds,
            keeps_memory=allocator == "kept",
            is_fused=kind == "compiled" or arguments.eager_adamw == "fused",
        )
        return
    shapes = list(SHAPES) if arguments.shape == "both" else [arguments.shape]
    runs: interleaved.Runs = {}
    comparisons: list[Comparison] = []
    for shape in shapes:
        contestants = [
            Contestant(
                name=_name(kind, shape=shape, allocator=allocator),
                words=(
                    *("--only", f"{kind}/{allocator}", "--shape", shape),
                    *("--seconds", str(arguments.seconds)),
                    *("--eager-adamw", arguments.eager_adamw),
                ),
            )
            for allocator in ALLOCATORS
            for kind in KINDS
        ]
        runs |= interleaved.run_in_turn(Path(__file__), contestants, runs=arguments.runs)
        comparisons += _comparisons(shape)
    interleaved.report(comparisons, runs, arguments=arguments)


def _name(kind: str, *, shape: str, allocator: str) -> str:
    told = {
        "ours": "ours",
        "eager": "transformers fp32 eager",
        "compiled": "transformers compiled, autocast",
    }[kind]
    return f"{shape}: {told}, {ALLOCATORS[allocator]}"


def _comparisons(shape: str) -> list[Comparison]:
    """Both with the same malloc, and then each as its users run it."""
    pairs = [("kept", "kept"), ("default", "default"), ("kept", "default")]
    told = {
        ("kept", "kept"): "malloc keeps memory for both",
        ("default", "default"): "default malloc for both",
        ("kept", "default"): "each as it comes",
    }
    return [
        Comparison(
            name=f"{shape} against {peer}, {told[ours, theirs]}",
            ours=_name("ours", shape=shape, allocator=ours),
            peer=_name(peer, shape=shape, allocator=theirs),
            unit="tokens/s",
        )
        for peer in ("eager", "compiled")
        for ours, theirs in pairs
    ]


def measure(kind: str, *, shape: Shape, seconds: float, keeps_memory: bool, is_fused: bool) -> None:
    """Trains for some seconds in this process, and hands over the tokens per second."""
    from cutaway import devices

    devices.prepare_process()
    if keeps_memory:
        kept = devices.keep_freed_memory()
        if not kept.kept:
            interleaved.say(f"memory is not kept: {kept.reason}")
    devices.set_threads()
    started = time.perf_counter()
    if kind == "ours":
        _measure_ours(shape, seconds=seconds, started=started)
    else:
        _measure_peer(
            shape,
            seconds=seconds,
            started=started,
            is_compiled=kind == "compiled",
            is_fused=is_fused,
        )


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
    """A hook that times the steps after the warm-up and ends the run when time is up."""

    def __init__(self, *, seconds: float, started: float) -> None:
        self.seconds, self.started = seconds, started
        self.first_step = self.begin = self.end = 0.0
        self.tokens = 0

    def after_step(self, progress: "Progress") -> None:
        """Counts the step's tokens, once it is warm."""
        self.end = time.perf_counter()
        step = progress.state.step
        if step == 1:
            self.first_step = self.end - self.started
        if step <= WARM_UP:
            self.begin = self.end
            return
        self.tokens += progress.tokens
        if self.end - self.begin >= self.seconds:
            progress.state.plan.steps = step

    def at_end(self, state: "TrainingState") -> None:
        """Does nothing."""


def _measure_ours(shape: Shape, *, seconds: float, started: float) -> None:
    from cutaway.data.loaders import Loader
    from cutaway.data.shards import write_shards
    from cutaway.data.sources import TextSource
    from cutaway.devices import seeded_generator
    from cutaway.models.catalog import build
    from cutaway.training.loop import LoopConfig, train
    from cutaway.training.objectives import NextToken
    from cutaway.training.optimizers import AdamWConfig, FusedAdamW
    from cutaway.training.plan import Plan
    from cutaway.training.schedules import Trapezoid
    from cutaway.training.state import TrainingState

    model = build(
        {
            "architecture": "gpt",
            "vocab_size": VOCABULARY,
            "context_length": shape.context_length,
            "width": shape.width,
            "num_layers": shape.num_layers,
            "num_heads": shape.num_heads,
        },
        generator=seeded_generator(0, "weights"),
    )
    watch = Stopwatch(seconds=seconds, started=started)
    with tempfile.TemporaryDirectory() as folder:
        shards = write_shards(
            [(random_tokens().tolist(), None)], Path(folder) / "data", vocab_size=VOCABULARY
        )
        train(
            TrainingState(
                model=model,
                optimizer=FusedAdamW(dict(model.named_parameters()), AdamWConfig()),
                plan=Plan(steps=1_000_000),
            ),
            Loader(
                [TextSource(name="random", shards=shards)],
                rows=shape.rows,
                row_length=shape.context_length,
                seed=0,
            ),
            objective=NextToken(),
            schedule=Trapezoid(),
            config=LoopConfig(clip_norm=1.0),
            execution=execution(),
            hooks=[watch],
        )
    interleaved.hand_over(
        value=watch.tokens / (watch.end - watch.begin),
        first_step_s=watch.first_step,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
    )


def _measure_peer(
    shape: Shape, *, seconds: float, started: float, is_compiled: bool, is_fused: bool
) -> None:
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=VOCABULARY,
            n_positions=shape.context_length,
            n_embd=shape.width,
            n_layer=shape.num_layers,
            n_head=shape.num_heads,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            use_cache=False,
            bos_token_id=0,
            eos_token_id=0,
        )
    )
    model.train()
    step = torch.compile(model) if is_compiled else model
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True if is_fused else None)
    is_low = is_compiled and execution().precision == "bf16"
    tokens, generator = random_tokens(), torch.Generator().manual_seed(0)
    length, first_step, begin, counted, number = shape.context_length, 0.0, 0.0, 0, 0
    while True:
        starts = torch.randint(len(tokens) - length, (shape.rows,), generator=generator)
        batch = torch.stack([tokens[start : start + length] for start in starts.tolist()])
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=is_low):
            loss = step(input_ids=batch, labels=batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        loss.item()
        number, now = number + 1, time.perf_counter()
        if number == 1:
            first_step = now - started
        if number <= WARM_UP:
            begin = now
            continue
        counted += batch.numel()
        if now - begin >= seconds:
            break
    interleaved.hand_over(
        value=counted / (now - begin),
        first_step_s=first_step,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
    )


def random_tokens() -> "torch.Tensor":
    """The tokens that all contestants learn from."""
    import torch

    return torch.randint(VOCABULARY, (TOKENS,), generator=torch.Generator().manual_seed(0))


if __name__ == "__main__":
    main()
