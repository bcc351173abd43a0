"""What the tests of the stages share: a console that remembers what it was told."""

import json
import string
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from cutaway.console import Console, Progress


class Listener(Console):
    """Keeps everything that a stage says, as lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.products: list[str] = []

    @property
    def text(self) -> str:
        """All lines."""
        return "\n".join(self.lines)

    def say(self, text: str) -> None:
        self.lines.append(text)

    def warn(self, text: str) -> None:
        self.lines.append(f"warning: {text}")

    def fail(self, kind: str, message: str, *, code: int) -> None:
        self.lines.append(f"error {code}: {message}")

    def table(
        self, title: str, *, columns: Sequence[str], rows: Sequence[Sequence[object]]
    ) -> None:
        self.lines += [title, " ".join(columns), *(" ".join(map(str, row)) for row in rows)]

    def paint(self, pieces: Sequence[tuple[str, str]]) -> None:
        self.lines.append("".join(text for text, _ in pieces))

    def product(self, text: str, *, end: str = "\n") -> None:
        self.lines.append(text)
        self.products.append(text + end)

    def progress(self, name: str, *, total: float, unit: str = "steps") -> Progress:
        return _Silent()


class _Silent(Progress):
    def update(self, done: float, shown: Mapping[str, object] = {}) -> None:
        pass


ALPHABET = string.ascii_letters + string.digits + " .,?!/-"


def write_run(folder: Path, model: Any, *, stage: str, alphabet: str = ALPHABET) -> Path:
    """Makes a run with one checkpoint of a model of some characters."""
    from cutaway import checkpoint
    from cutaway.models.catalog import describe
    from cutaway.models.weights import weights_of
    from cutaway.tokenizer.characters import CharacterTokenizer

    checkpoint.save(
        folder / "checkpoints",
        step=5,
        tensors={"model": weights_of(model)},
        files={
            "config.json": json.dumps(describe(model)).encode(),
            "tokenizer.json": CharacterTokenizer(alphabet).to_json().encode(),
            "state.json": json.dumps({"stage": stage}).encode(),
        },
    )
    return folder


def never_stopping(model: Any, *, alphabet: str = ALPHABET) -> Any:
    """The model, which greedily chooses no control token: their logits are 0."""
    import torch

    with torch.no_grad():
        model.get_parameter("unembedding.weight")[len(alphabet) :] = 0.0
    return model


@pytest.fixture
def model_folder(tmp_path: Path) -> Callable[..., Path]:
    """Makes a run with one checkpoint of a toy model, none of whose matrices is zero."""
    import torch
    from torch import nn

    from cutaway.models.catalog import build
    from cutaway.tokenizer.characters import CharacterTokenizer

    def make(*, stage: str = "pretrain", never_stops: bool = False) -> Path:
        settings = {
            "architecture": "gpt",
            "vocab_size": CharacterTokenizer(ALPHABET).vocab_size,
            "context_length": 64,
            "width": 16,
            "num_layers": 1,
            "num_heads": 2,
            "tied": False,
        }
        model = build(settings)
        for weight in model.parameters():
            nn.init.normal_(weight, std=0.5, generator=torch.Generator().manual_seed(1))
        if never_stops:
            never_stopping(model)
        return write_run(tmp_path / "run", model, stage=stage)

    return make


@pytest.fixture
def console() -> Listener:
    return Listener()
