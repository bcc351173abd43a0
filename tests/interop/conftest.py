"""Toy models and checkpoints of them."""

import json
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from cutaway import checkpoint
from cutaway.models.catalog import build, describe
from cutaway.models.weights import weights_of
from cutaway.tokenizer.characters import CharacterTokenizer

LETTERS = CharacterTokenizer(string.printable)
SIZES: dict[str, dict[str, Any]] = {
    "gpt": {
        "vocab_size": 106,
        "context_length": 32,
        "width": 16,
        "num_layers": 2,
        "num_heads": 2,
    },
    "llama": {
        "vocab_size": 106,
        "context_length": 32,
        "width": 16,
        "num_layers": 2,
        "num_heads": 4,
        "num_key_value_heads": 2,
        "hidden_width": 24,
    },
    "speedrun": {
        "vocab_size": 106,
        "context_length": 32,
        "width": 16,
        "num_layers": 2,
        "num_heads": 2,
        "pair_rows": 50,
    },
}


@pytest.fixture
def toy() -> Callable[..., nn.Module]:
    """Makes a toy model by the name of its architecture, none of its matrices zero."""

    def make(architecture: str = "llama", *, seed: int = 1, **sizes: Any) -> nn.Module:
        model = build({"architecture": architecture, **SIZES[architecture], **sizes})
        generator = torch.Generator().manual_seed(seed)
        for weight in model.parameters():
            nn.init.normal_(weight, std=0.3, generator=generator)
        return model.eval()

    return make


@pytest.fixture
def saved() -> Callable[..., Path]:
    """Saves a checkpoint of a model into a run folder; what `files` gives replaces its own."""

    def save(
        model: nn.Module,
        run: Path,
        *,
        step: int = 7,
        stage: str = "pretrain",
        files: dict[str, bytes | None] | None = None,
    ) -> Path:
        own: dict[str, bytes | None] = {
            "config.json": json.dumps(describe(model)).encode(),
            "tokenizer.json": LETTERS.to_json().encode(),
            "state.json": json.dumps({"stage": stage, "step": step}).encode(),
        }
        content = {name: text for name, text in (own | (files or {})).items() if text is not None}
        tensors = {"model": weights_of(model)}
        return checkpoint.save(run / "checkpoints", step=step, tensors=tensors, files=content)

    return save
