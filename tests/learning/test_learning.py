"""Every decoder learns to copy, to reverse and to rewrite a date, in seconds and on questions anew.

An answer counts when all of its ids are the likeliest ones: it is then what greedy writing gives.
"""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from cutaway.data.loaders import Loader
from cutaway.data.shards import write_shards
from cutaway.data.sources import ExampleSource
from cutaway.models.catalog import CATALOG, build
from cutaway.training.choices import OptimizerConfig
from cutaway.training.compile import Execution
from cutaway.training.loop import LoopConfig, train
from cutaway.training.objectives import NextToken
from cutaway.training.optimizers import optimizer_for
from cutaway.training.plan import Plan
from cutaway.training.schedules import Trapezoid
from cutaway.training.state import TrainingState
from tests.learning.tasks import TASKS, VOCABULARY

SIZES = {
    "vocab_size": VOCABULARY,
    "context_length": 16,
    "width": 32,
    "num_layers": 2,
    "num_heads": 2,
}
DECODERS: dict[str, dict[str, Any]] = {
    "gpt": {"architecture": "gpt", **SIZES},
    "gpt with norms after": {"architecture": "gpt", **SIZES, "norm_placement": "post"},
    "llama": {"architecture": "llama", **SIZES, "num_key_value_heads": 1, "hidden_width": 64},
    "speedrun": {"architecture": "speedrun", **SIZES},
}
SLOW = OptimizerConfig(embedding_rate=0.02, vector_rate=0.005)
LEARNING = dict.fromkeys(DECODERS, (150, SLOW)) | {"speedrun": (200, OptimizerConfig())}
"""Steps, and how far each goes: the default rates are for a decoder whose norms have no gains."""

SHARE_RIGHT = 0.95


def trained(name: str, task: str, folder: Path) -> nn.Module:
    rows, begin = TASKS[task](4000, generator=torch.Generator().manual_seed(1))
    learned = [place >= begin for place in range(rows.shape[1])]
    shards = write_shards(((ids, learned) for ids in rows.tolist()), folder, vocab_size=VOCABULARY)
    source = ExampleSource(name=task, shards=shards)
    model = build(DECODERS[name], generator=torch.Generator().manual_seed(2))
    steps, config = LEARNING[name]
    state = TrainingState(
        model=model, optimizer=optimizer_for(model, config), plan=Plan(steps=steps)
    )
    train(
        state,
        Loader([source], rows=64, row_length=rows.shape[1] - 1, seed=3),
        objective=NextToken(),
        schedule=Trapezoid(warmup=0.05, cooldown=0.6),
        config=LoopConfig(),
        execution=Execution(),
    )
    return model.eval()


def share_right(model: nn.Module, task: str) -> float:
    rows, begin = TASKS[task](1000, generator=torch.Generator().manual_seed(4))
    with torch.inference_mode():
        likeliest = model(rows[:, :-1]).argmax(dim=-1)
    return float((likeliest == rows[:, 1:])[:, begin - 1 :].all(dim=1).float().mean())


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", DECODERS)
def test_every_decoder_learns_every_task(name: str, task: str, tmp_path: Path) -> None:
    assert share_right(trained(name, task, tmp_path / "examples"), task) > SHARE_RIGHT


def test_no_architecture_is_left_out() -> None:
    assert {sizes["architecture"] for sizes in DECODERS.values()} == CATALOG.keys()
