"""What the tests of training share: a text of few words, and a state that learns it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from cutaway.data.loaders import Loader
from cutaway.data.shards import write_shards
from cutaway.data.sources import TextSource
from cutaway.models.catalog import build
from cutaway.training.choices import OptimizerConfig
from cutaway.training.optimizers import optimizer_for
from cutaway.training.plan import Plan
from cutaway.training.state import TrainingState

SIZES = {
    "architecture": "llama",
    "vocab_size": 40,
    "context_length": 12,
    "width": 16,
    "num_layers": 2,
    "num_heads": 2,
    "num_key_value_heads": 1,
    "hidden_width": 32,
}
GPT = {
    "architecture": "gpt",
    "vocab_size": 40,
    "context_length": 12,
    "width": 16,
    "num_layers": 2,
    "num_heads": 2,
}


def toy_model(*, seed: int = 1, **changes: Any) -> nn.Module:
    sizes = GPT if changes.get("architecture") == "gpt" else SIZES
    return build(sizes | changes, generator=torch.Generator().manual_seed(seed))


def toy_state(*, steps: int = 10, model: nn.Module | None = None, **rates: Any) -> TrainingState:
    model = model or toy_model()
    optimizer = optimizer_for(model, OptimizerConfig(**rates))
    return TrainingState(model=model, optimizer=optimizer, plan=Plan(steps=steps))


@pytest.fixture
def loader(tmp_path: Path) -> Callable[..., Loader]:
    """Makes a loader of short documents whose every id follows from the one before."""

    def make(*, rows: int = 6, seed: int = 5, rank: int = 0, world: int = 1) -> Loader:
        folder = tmp_path / f"text-{rank}-{world}-{rows}-{seed}"
        lengths = (30, 5, 17, 90, 2, 41)
        documents = [[(7 * n * n + length) % 40 for n in range(length)] for length in lengths]
        shards = write_shards(((ids, None) for ids in documents), folder, vocab_size=40)
        source = TextSource(name="text", shards=shards)
        return Loader([source], rows=rows, row_length=12, seed=seed, rank=rank, world=world)

    return make
