"""The model that loads are served by, small but a whole one; and what is printed after them."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from cutaway.models.catalog import build
from cutaway.tokenizer.characters import CharacterTokenizer
from tests.load.figures import RESULTS, as_page
from tests.stages.conftest import ALPHABET, never_stopping, write_run

JSON = ALPHABET + "\n{}[]\":_\\$#<|>'()"
"""Characters enough to read tools and to write JSON."""


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with a model of 2 layers that says much and never ends an answer greedily."""
    model = build(
        {
            "architecture": "llama",
            "vocab_size": CharacterTokenizer(JSON).vocab_size,
            "context_length": 1024,
            "width": 64,
            "num_layers": 2,
            "num_heads": 4,
            "num_key_value_heads": 2,
            "hidden_width": 192,
            "tied": False,
        }
    )
    generator = torch.Generator().manual_seed(1)
    for weight in model.parameters():
        if weight.dim() > 1:
            nn.init.normal_(weight, std=0.2, generator=generator)
    model = never_stopping(model, alphabet=JSON)
    folder = tmp_path_factory.mktemp("load") / "toy"
    return write_run(folder, model, stage="finetune", alphabet=JSON)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Shows what the loads of full size have measured, now and before."""
    if terminalreporter.config.option.markexpr == "slow":
        terminalreporter.write_line(as_page(json.loads(RESULTS.read_text())))
