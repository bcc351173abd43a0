"""Twenty steps of toy runs, which a refactor must reproduce; run as a module, writes them anew.

`python -m tests.golden.curves` after a change that is meant to change what is learned. In fp32,
eager, on one thread: the same machine and build give the same bits, others the same first digits.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from cutaway.data.loaders import Loader
from cutaway.data.shards import write_shards
from cutaway.data.sources import ExampleSource, TextSource
from cutaway.models.catalog import build
from cutaway.training.choices import OptimizerConfig
from cutaway.training.compile import Execution
from cutaway.training.loop import LoopConfig, Progress, train
from cutaway.training.objectives import NextToken
from cutaway.training.optimizers import optimizer_for
from cutaway.training.plan import Plan
from cutaway.training.schedules import Cosine, Schedule, Trapezoid
from cutaway.training.state import TrainingState

FOLDER = Path(__file__).parent
STEPS = 20

_SIZES = {"vocab_size": 64, "context_length": 32, "width": 32, "num_layers": 2, "num_heads": 2}
RUNS: dict[str, tuple[dict[str, Any], OptimizerConfig, Schedule]] = {
    "gpt_adamw_cosine": (
        {"architecture": "gpt", **_SIZES, "window": 8, "dropout": 0.1},
        OptimizerConfig(kind="adamw", learning_rate=0.003, weight_decay=0.1),
        Cosine(warmup=0.2),
    ),
    "llama_muon_trapezoid": (
        {
            "architecture": "llama",
            **_SIZES,
            "num_key_value_heads": 1,
            "hidden_width": 64,
            "query_key_norm": True,
        },
        OptimizerConfig(weight_decay=0.05),
        Trapezoid(warmup=0.1, cooldown=0.5),
    ),
    "speedrun_muon_trapezoid": (
        {"architecture": "speedrun", **_SIZES, "pair_rows": 97, "triple_rows": 89},
        OptimizerConfig(),
        Trapezoid(warmup=0.1, cooldown=0.5),
    ),
}
"""Model, optimizer and schedule of each run."""


class Losses:
    """A hook that remembers the losses."""

    def __init__(self) -> None:
        self.found: list[float] = []

    def after_step(self, progress: Progress) -> None:
        """Keeps the loss of the step."""
        self.found.append(progress.loss)

    def at_end(self, state: TrainingState) -> None:
        """Does nothing."""


def curve(name: str, folder: Path) -> list[float]:
    """Trains the run of this name in an empty folder and returns its losses."""
    sizes, optimizer, schedule = RUNS[name]
    model = build(sizes, generator=torch.Generator().manual_seed(11))
    losses = Losses()
    state = TrainingState(
        model=model, optimizer=optimizer_for(model, optimizer), plan=Plan(steps=STEPS)
    )
    with _alone_on_one_thread():
        train(
            state,
            _loader(folder),
            objective=NextToken(),
            schedule=schedule,
            config=LoopConfig(micro_rows=5),
            execution=Execution(),
            hooks=[losses],
        )
    return losses.found


def read(name: str) -> list[float]:
    """Returns the losses as they were written down."""
    return [float(line) for line in (FOLDER / f"{name}.txt").read_text().split()]


def write(name: str, losses: list[float]) -> None:
    """Writes the losses down, one a line, each in as many digits as fp32 has."""
    (FOLDER / f"{name}.txt").write_text("".join(f"{loss:.9g}\n" for loss in losses))


def _loader(folder: Path) -> Loader:
    """Mixes a text with examples, both from closed forms."""
    text = [[(n * n + 3 * length) % 64 for n in range(length)] for length in (300, 41, 170)]
    pairs = [[n % 64, (5 * n) % 64, (n * n) % 64, 1] for n in range(200)]
    learned = [False, False, True, True]
    return Loader(
        [
            TextSource(
                name="text",
                shards=write_shards(((ids, None) for ids in text), folder / "text", vocab_size=64),
                share=0.6,
            ),
            ExampleSource(
                name="pairs",
                shards=write_shards(
                    ((ids, learned) for ids in pairs), folder / "pairs", vocab_size=64
                ),
                share=0.4,
            ),
        ],
        rows=8,
        row_length=32,
        seed=3,
    )


@contextmanager
def _alone_on_one_thread() -> Iterator[None]:
    """Sums in one order, and draws dropout from one seed."""
    threads, random = torch.get_num_threads(), torch.get_rng_state()
    torch.set_num_threads(1)
    torch.manual_seed(7)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_rng_state(random)


def main() -> None:
    """Writes every curve anew."""
    for name in RUNS:
        with tempfile.TemporaryDirectory() as folder:
            write(name, curve(name, Path(folder)))


if __name__ == "__main__":
    main()
