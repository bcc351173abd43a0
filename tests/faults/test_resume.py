"""A training run is killed, stopped and spoiled at any instant; what it learns is not changed.

Killed with -9 and run again until it is done, it leaves the metrics, the samples and the weights
of a run that was never stopped, bit for bit: one thread, one machine, one build.
"""

import contextlib
import hashlib
import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from cutaway import checkpoint
from cutaway.interop.open import open_model
from cutaway.run_folder import RunFolder

pytestmark = pytest.mark.faults

ROOT = Path(__file__).parent.parent.parent
STEPS = 300
COMMON = (
    *("pretrain", "data=text.jsonl", "run=run", "vocab_size=300", f"steps={STEPS}"),
    *("model.context_length=32", "model.width=32", "model.num_layers=1"),
    *("pacing.rows=4", "pacing.threads=1", "pacing.compile=no", "pacing.precision=fp32"),
    "pacing.checkpoint_seconds=0.05",
)
RUNS = {
    "speedrun by Muon": ("model.num_heads=2", "model.pair_rows=101", "model.spelled_bytes=2"),
    "transformer with dropout, from pairs": (
        *("model.architecture=transformer", "model.dropout=0.2", "pacing.row_length=64"),
        *("pairs.measured=2", "model.num_heads=2"),
    ),
    "recurrent with dropout, from pairs": (
        *("model.architecture=seq2seq", "model.dropout=0.2", "pairs.measured=2"),
    ),
    "gpt with dropout by AdamW": (
        *("model.architecture=gpt", "model.dropout=0.2", "optimizer.kind=adamw"),
        "model.num_heads=2",
        *("optimizer.learning_rate=0.002", "optimizer.embedding_rate=0.002"),
    ),
}
SENTENCE = "the sea is a long way from here and the light of it is in her eyes"
KILLS = 25
"""Sittings that are killed before the run may end in peace."""


class Trainer:
    """A process whose children train."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.trainer"],
            cwd=ROOT,
            env=os.environ | {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, folder: Path, words: tuple[str, ...]) -> int:
        """Begins a sitting and returns its pid."""
        assert self.process.stdin is not None
        asked = json.dumps({"folder": str(folder), "words": words})
        self.process.stdin.write(asked + "\n")
        self.process.stdin.flush()
        return self.answer()

    def answer(self) -> int:
        """The next number that the process prints: a pid, or how the sitting ended."""
        assert self.process.stdout is not None
        return int(self.process.stdout.readline())

    def run(self, folder: Path, words: tuple[str, ...]) -> int:
        """A sitting that nobody disturbs."""
        self.start(folder, words)
        return self.answer()


@pytest.fixture(scope="module")
def trainer() -> Iterator[Trainer]:
    trainer = Trainer()
    yield trainer
    trainer.process.communicate()


def place_at(folder: Path) -> Path:
    """A folder with a text to learn from."""
    folder.mkdir()
    drawn = random.Random(1)
    words = SENTENCE.split()
    texts = [" ".join(drawn.choices(words, k=40)) + "." for _ in range(60)]
    halves = [text.split()[:12] for text in texts]
    rows = [
        {"text": text, "source": " ".join(half[:6]), "target": " ".join(half[6:])}
        for text, half in zip(texts, halves, strict=True)
    ]
    (folder / "text.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def outcome(folder: Path) -> dict[str, Any]:
    """All of a finished run that time does not change."""
    run = RunFolder(path=folder / "run")
    found = checkpoint.newest(run.checkpoints).checkpoint
    assert found is not None
    kept = ("step", "loss", "gradient_norm", "learning_rate", "tokens", "bits_per_byte")
    return {
        "step": found.step,
        "metrics": [
            {key: record[key] for key in kept if key in record} for record in run.metrics.read()
        ],
        "samples": run.samples.read(),
        "weights": [
            hashlib.sha256(found.bytes(f"{stem}.safetensors")).hexdigest()
            for stem in ("model", "optimizer")
        ],
    }


@pytest.fixture(scope="module", params=RUNS)
def unbroken(
    request: pytest.FixtureRequest, trainer: Trainer, tmp_path_factory: pytest.TempPathFactory
) -> tuple[tuple[str, ...], dict[str, Any], float]:
    """The words of a run, its outcome when nothing disturbs it, and its seconds."""
    words = (*COMMON, *RUNS[request.param])
    folder = place_at(tmp_path_factory.mktemp("unbroken") / "place")
    begin = time.monotonic()
    code = trainer.run(folder, words)
    assert code == 0, (folder / "said.txt").read_text()
    return words, outcome(folder), time.monotonic() - begin


def test_the_unbroken_run_is_whole(
    unbroken: tuple[tuple[str, ...], dict[str, Any], float],
) -> None:
    _, expected, _ = unbroken
    losses = [record["loss"] for record in expected["metrics"] if "loss" in record]
    assert [r["step"] for r in expected["metrics"] if "loss" in r] == list(range(1, STEPS + 1))
    assert losses[-1] < 0.8 * losses[0]
    assert expected["step"] == STEPS
    assert expected["samples"]


def test_a_run_killed_at_any_instant_ends_as_if_it_had_not_been(
    unbroken: tuple[tuple[str, ...], dict[str, Any], float], trainer: Trainer, tmp_path: Path
) -> None:
    words, expected, seconds = unbroken
    folder = place_at(tmp_path / "place")
    instants = random.Random(7)
    codes = []
    while len(codes) < KILLS and codes[-1:] != [0]:
        pid = trainer.start(folder, words)
        # Early instants fall into the preparation, later ones into steps and checkpoints.
        time.sleep(0.25 * seconds * instants.random())
        with contextlib.suppress(ProcessLookupError):  # it was done before
            os.kill(pid, signal.SIGKILL)
        codes.append(trainer.answer())
    assert codes.count(-signal.SIGKILL) >= 3
    if codes[-1] != 0:
        code = trainer.run(folder, words)
        assert code == 0, (folder / "said.txt").read_text()
    assert outcome(folder) == expected


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_is_asked_to_stop_saves_and_says_how_to_go_on(
    number: signal.Signals,
    unbroken: tuple[tuple[str, ...], dict[str, Any], float],
    trainer: Trainer,
    tmp_path: Path,
) -> None:
    words, expected, _ = unbroken
    folder = place_at(tmp_path / "place")
    pid = trainer.start(folder, words)
    metrics = folder / "run" / "metrics.jsonl"
    _await(lambda: metrics.exists() and len(metrics.read_bytes().splitlines()) > 10)
    os.kill(pid, number)
    assert trainer.answer() == 75, (folder / "said.txt").read_text()
    assert "the same command goes on from here" in (folder / "said.txt").read_text()
    stopped = outcome(folder)
    assert 5 <= stopped["step"] < STEPS
    assert stopped["metrics"][-1]["step"] == stopped["step"]
    assert trainer.run(folder, words) == 0
    assert outcome(folder) == expected


def test_the_command_itself_stops_with_its_code_and_goes_on(tmp_path: Path) -> None:
    folder = place_at(tmp_path / "place")
    command = [sys.executable, "-m", "cutaway", *COMMON, *RUNS["speedrun by Muon"]]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    metrics = folder / "run" / "metrics.jsonl"
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        _await(metrics.exists)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=120)
    assert process.returncode == 75, said.decode()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"goes on after step {_stopped_at(said.decode())}" in done.stdout + done.stderr
    assert outcome(folder)["step"] == STEPS


def test_a_run_whose_numbers_break_says_so_keeps_the_batches_and_saves_none_of_it(
    trainer: Trainer, tmp_path: Path
) -> None:
    folder = place_at(tmp_path / "place")
    # No checkpoint falls between the step that breaks the weights and the next, which finds out.
    words = (*COMMON[:-1], *RUNS["gpt with dropout by AdamW"], "optimizer.embedding_rate=1e30")
    assert trainer.run(folder, words) == 5
    said = (folder / "said.txt").read_text()
    assert "not finite at 3 steps in a row" in said
    run = RunFolder(path=folder / "run")
    losses = [float(record["loss"]) for record in run.metrics.read() if "loss" in record]
    assert [math.isfinite(loss) for loss in losses] == [True] * (len(losses) - 3) + [False] * 3
    bad = [record["step"] for record in run.metrics.read() if record.get("skipped")]
    for step in bad:
        kept = json.loads((run.path / f"skipped-step-{step:08d}.json").read_text())
        assert kept["step"] == step
        assert len(kept["tokens"]) == 4
        assert not math.isfinite(float(kept["loss"]))
    assert len(bad) == 3
    opened: Any = open_model(run.path)
    assert all(weight.isfinite().all() for weight in opened.model.parameters())
    assert torch.isfinite(opened.model(torch.zeros(1, 4, dtype=torch.int64))).all()


def _await(is_there: Any, *, seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not is_there():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


def _stopped_at(said: str) -> str:
    return said.split("stopped after step ")[1].split(";")[0]
