"""Every model learns to copy, to reverse and to rewrite a date, in seconds and on questions anew.

An answer counts when all of its ids are the likeliest ones: it is then what greedy writing gives.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from cutaway.data.corruption import Alphabet
from cutaway.data.loaders import Loader
from cutaway.data.masked_loader import MaskedLoader
from cutaway.data.masking import MaskingConfig
from cutaway.data.pair_loaders import BucketedPairs, PackedPairs
from cutaway.data.pairs import PairShards
from cutaway.data.shards import write_shards
from cutaway.data.sources import ExampleSource, TextSource
from cutaway.inference.beam import BeamSearch, best_targets
from cutaway.models.catalog import CATALOG, build
from cutaway.training.choices import OptimizerConfig
from cutaway.training.compile import Execution
from cutaway.training.encoder_objectives import MaskedWords
from cutaway.training.loop import LoopConfig, train
from cutaway.training.objectives import NextToken, SourceToTarget
from cutaway.training.optimizers import optimizer_for
from cutaway.training.plan import Plan
from cutaway.training.schedules import Trapezoid
from cutaway.training.state import TrainingState
from tests.learning.tasks import ANSWER, LENGTH, LETTERS, TASKS, VOCABULARY

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

SEQ2SEQ = {
    "architecture": "seq2seq",
    "vocab_size": VOCABULARY,
    "context_length": 16,
    "width": 32,
    "hidden_width": 64,
    "num_layers": 1,
}
ENCODER_DECODERS: dict[str, dict[str, Any]] = {
    "transformer": {"architecture": "transformer", **SIZES, "dropout": 0.0},
    "transformer with norms before": {
        "architecture": "transformer",
        **SIZES,
        "dropout": 0.0,
        "norm_placement": "pre",
    },
    "seq2seq of Sutskever": {
        **SEQ2SEQ,
        "cell": "lstm",
        "direction": "forward",
        "attention": "off",
        "feeding": "off",
        "width": 64,
    },
    "seq2seq of Bahdanau": SEQ2SEQ,
    "seq2seq of Luong": {
        **SEQ2SEQ,
        "cell": "rnn",
        "direction": "forward",
        "attention": "dot",
        "feeding": "off",
    },
    "seq2seq of Luong with input feeding": {
        **SEQ2SEQ,
        "cell": "lstm",
        "attention": "general",
        "feeding": "attended",
    },
}
PAIR_LEARNING = dict.fromkeys(ENCODER_DECODERS, (150, SLOW)) | {
    "seq2seq of Sutskever": (250, SLOW),
    "seq2seq of Bahdanau": (100, SLOW),
}
ENCODER = {"architecture": "bert", **SIZES, "hidden_width": 64, "heads": "words"}
"""Steps, and how far each goes."""


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


def trained_pairs(name: str, task: str, folder: Path) -> nn.Module:
    rows, begin = TASKS[task](4000, generator=torch.Generator().manual_seed(1))
    sides = {"source": rows[:, :begin], "target": rows[:, begin - 1 :]}
    shards = {
        side: write_shards(((ids, None) for ids in each.tolist()), folder / side, vocab_size=23)
        for side, each in sides.items()
    }
    kind = CATALOG[ENCODER_DECODERS[name]["architecture"]]
    loader: PackedPairs | BucketedPairs
    if kind.batches == "packed":
        loader = PackedPairs(
            PairShards(**shards), rows=16, row_length=32, context_length=16, seed=3
        )
    else:
        loader = BucketedPairs(PairShards(**shards), rows=64, context_length=16, seed=3)
    model = build(ENCODER_DECODERS[name], generator=torch.Generator().manual_seed(2))
    steps, config = PAIR_LEARNING[name]
    train(
        TrainingState(model=model, optimizer=optimizer_for(model, config), plan=Plan(steps=steps)),
        loader,
        objective=SourceToTarget(),
        schedule=Trapezoid(warmup=0.05, cooldown=0.6),
        config=LoopConfig(),
        execution=Execution(),
    )
    return model.eval()


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", ENCODER_DECODERS)
def test_every_encoder_decoder_learns_every_task(name: str, task: str, tmp_path: Path) -> None:
    model = trained_pairs(name, task, tmp_path)
    rows, begin = TASKS[task](200, generator=torch.Generator().manual_seed(4))
    found = best_targets(
        model,  # type: ignore[arg-type]
        rows[:, :begin].tolist(),
        search=BeamSearch(beams=2, max_tokens=rows.shape[1] - begin),
        begin_id=ANSWER,
        end_id=VOCABULARY - 1,
    )
    right = [one.ids == row for one, row in zip(found, rows[:, begin:].tolist(), strict=True)]
    assert sum(right) > SHARE_RIGHT * len(right)


def test_an_encoder_names_hidden_letters_by_what_stands_on_both_sides(tmp_path: Path) -> None:
    """Texts are words said twice: a hidden letter stands a word's length away, on either side."""
    words, _ = TASKS["copying"](4000, generator=torch.Generator().manual_seed(1))
    twice = [[*row[:LENGTH], *row[LENGTH + 1 :]] for row in words.tolist()]
    shards = write_shards(((ids, None) for ids in twice), tmp_path / "texts", vocab_size=VOCABULARY)
    alphabet = Alphabet(
        first=VOCABULARY - 3,
        separator=VOCABULARY - 2,
        mask=VOCABULARY - 1,
        ordinary=np.arange(1, LETTERS + 1),
        begins_word=np.ones(VOCABULARY, dtype=np.bool_),
    )
    loader = MaskedLoader(
        [TextSource(name="twice", shards=shards)],
        alphabet=alphabet,
        config=MaskingConfig(share=0.2, next_sentence=False),
        rows=64,
        row_length=12,
        seed=3,
    )
    model = build(ENCODER, generator=torch.Generator().manual_seed(2))
    train(
        TrainingState(model=model, optimizer=optimizer_for(model, SLOW), plan=Plan(steps=400)),
        loader,
        objective=MaskedWords(),
        schedule=Trapezoid(warmup=0.05, cooldown=0.6),
        config=LoopConfig(),
        execution=Execution(),
    )
    model.eval()
    words, _ = TASKS["copying"](500, generator=torch.Generator().manual_seed(4))
    tokens = torch.cat([words[:, :LENGTH], words[:, LENGTH + 1 :]], dim=1)
    edge = torch.full((500, 1), alphabet.first)
    tokens = torch.cat([edge, tokens, edge + 1], dim=1)
    asked = tokens.clone()
    asked[:, 3] = alphabet.mask
    with torch.inference_mode():
        named = model.name_words(model(asked)[:, 3]).argmax(dim=-1)  # type: ignore[operator]
    assert float((named == tokens[:, 3]).float().mean()) > SHARE_RIGHT


def test_no_architecture_is_left_out() -> None:
    every = (*DECODERS.values(), *ENCODER_DECODERS.values(), ENCODER)
    tested = {sizes["architecture"] for sizes in every}
    assert tested == CATALOG.keys()
