"""PPO, GRPO and DPO are killed with -9 at any instant; what they learn is not changed."""

import contextlib
import hashlib
import json
import os
import random
import signal
import string
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from cutaway import checkpoint
from cutaway.models.catalog import build, describe
from cutaway.models.weights import weights_of
from cutaway.run_folder import RunFolder
from cutaway.tokenizer.characters import CharacterTokenizer
from tests.faults.test_resume import Trainer

pytestmark = pytest.mark.faults

KILLS = 6
COMMON = (
    *("align", "model", "run=run", "reward=taste", "steps=24", "max_tokens=10", "held_out=4"),
    *("trials=4", "manner.threads=1", "manner.checkpoint_seconds=0.05", "remembering.rows=2"),
)
METHODS = {
    "ppo": ("method=ppo", "prompts=prompts.txt", "ppo.answers=8", "ppo.minibatch=4"),
    "grpo": ("method=grpo", "prompts=prompts.txt", "grpo.prompts=3", "grpo.answers=4"),
    "dpo": ("method=dpo", "prompts=prompts.txt", "dpo.drawn=20", "dpo.pairs=4"),
}


def place_at(folder: Path) -> Path:
    """A folder with a toy model that was taught to spell, and prompts."""
    letters = CharacterTokenizer(string.ascii_letters + string.digits + " .,?!/-\"'\n")
    sizes = {"context_length": 64, "width": 16, "num_layers": 1, "num_heads": 2}
    model = build({"architecture": "gpt", "vocab_size": letters.vocab_size, **sizes})
    for weight in model.parameters():
        nn.init.normal_(weight, std=0.5, generator=torch.Generator().manual_seed(1))
    checkpoint.save(
        folder / "model" / "checkpoints",
        step=5,
        tensors={"model": weights_of(model)},
        files={
            "config.json": json.dumps(describe(model)).encode(),
            "tokenizer.json": letters.to_json().encode(),
            "state.json": json.dumps({"stage": "finetune"}).encode(),
        },
    )
    taught = '[[mixture]]\nsource = "skill:spelling"\nform = "chat"\n'
    (folder / "model" / "config.toml").write_text(taught)
    drawn = random.Random(1)
    words = ["".join(drawn.choices("abcdefgh", k=4)) for _ in range(200)]
    (folder / "prompts.txt").write_text("".join(f"Spell {word}.\n" for word in words))
    return folder


def outcome(folder: Path) -> dict[str, Any]:
    """All of a finished run that time does not change."""
    run = RunFolder(path=folder / "run")
    found = checkpoint.newest(run.checkpoints).checkpoint
    assert found is not None
    timed = ("seconds", "tokens_per_second")
    stems = ("model", "optimizer", "value")
    return {
        "step": found.step,
        "metrics": [
            {key: value for key, value in record.items() if key not in timed}
            for record in run.metrics.read()
        ],
        "samples": run.samples.read(),
        "weights": [
            hashlib.sha256(found.bytes(f"{stem}.safetensors")).hexdigest()
            for stem in stems
            if f"{stem}.safetensors" in found.files
        ],
    }


@pytest.fixture(scope="module")
def trainer() -> Iterator[Trainer]:
    trainer = Trainer()
    yield trainer
    trainer.process.communicate()


@pytest.mark.parametrize("method", METHODS)
def test_an_alignment_killed_at_any_instant_ends_as_if_it_had_not_been(
    method: str, trainer: Trainer, tmp_path: Path
) -> None:
    words = (*COMMON, *METHODS[method])
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    whole = place_at(tmp_path / "whole")
    assert trainer.run(whole, words) == 0, (whole / "said.txt").read_text()
    killed, instants, codes = place_at(tmp_path / "killed"), random.Random(7), []
    metrics = killed / "run" / "metrics.jsonl"
    while len(codes) < KILLS and codes[-1:] != [0]:
        pid = trainer.start(killed, words)
        # At the latest soon after some further lines; early instants fall into the preparation.
        reached = _lines(metrics)
        end = time.monotonic() + 3.0
        while _lines(metrics) < reached + instants.randrange(1, 8) and time.monotonic() < end:
            time.sleep(0.002)
        with contextlib.suppress(ProcessLookupError):  # it was done before
            os.kill(pid, signal.SIGKILL)
        codes.append(trainer.answer())
    assert -signal.SIGKILL in codes
    if codes[-1] != 0:
        assert trainer.run(killed, words) == 0, (killed / "said.txt").read_text()
    assert outcome(killed) == outcome(whole)


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0
