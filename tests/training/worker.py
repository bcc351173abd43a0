"""One process of several that train as one: writes its losses and weights to a folder.

`torchrun --nproc-per-node=2 -m tests.training.worker FOLDER`; without torchrun it trains alone.
"""

import hashlib
import json
import sys
from pathlib import Path

import torch

from cutaway.data.loaders import Loader
from cutaway.data.shards import Shards
from cutaway.data.sources import ExampleSource
from cutaway.models.catalog import build
from cutaway.training.choices import OptimizerConfig
from cutaway.training.compile import Execution
from cutaway.training.distributed import joined
from cutaway.training.loop import LoopConfig, Progress, train
from cutaway.training.objectives import NextToken
from cutaway.training.optimizers import optimizer_for
from cutaway.training.plan import Plan
from cutaway.training.schedules import Trapezoid
from cutaway.training.state import TrainingState

STEPS = 12
SIZES = {
    "architecture": "llama",
    "vocab_size": 40,
    "context_length": 16,
    "width": 16,
    "num_layers": 2,
    "num_heads": 2,
    "num_key_value_heads": 1,
    "hidden_width": 32,
}


class Losses:
    """A hook that remembers the losses."""

    def __init__(self) -> None:
        self.found: list[tuple[float, float]] = []

    def after_step(self, progress: Progress) -> None:
        """Keeps the loss and the gradient's norm."""
        self.found.append((progress.loss, progress.gradient_norm))

    def at_end(self, state: TrainingState) -> None:
        """Does nothing."""


def main(folder: Path) -> None:
    """Trains on the shards in the folder."""
    torch.set_num_threads(1)
    group = joined()
    model = build(SIZES, generator=torch.Generator().manual_seed(1))
    optimizer = optimizer_for(model, OptimizerConfig(kind="adamw", learning_rate=0.01))
    state = TrainingState(model=model, optimizer=optimizer, plan=Plan(steps=STEPS))
    source = ExampleSource(name="pairs", shards=Shards(folder / "shards"))
    loader = Loader([source], rows=8, row_length=16, seed=3, rank=group.rank, world=group.world)
    losses = Losses()
    train(
        state,
        loader,
        objective=NextToken(),
        schedule=Trapezoid(),
        config=LoopConfig(),
        execution=Execution(),
        hooks=[losses],
        processes=group,
    )
    weights = b"".join(weight.detach().numpy().tobytes() for weight in model.parameters())
    result = {
        "losses": losses.found,
        "weights": hashlib.sha256(weights).hexdigest(),
        "tokens": state.tokens,
    }
    (folder / f"process-{group.rank}-of-{group.world}.json").write_text(json.dumps(result))
    group.leave()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
