"""Several processes learn as one: the same losses, and the same weights in each of them."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from cutaway.data.shards import write_shards
from cutaway.run_folder import RunFolder
from cutaway.training.distributed import Processes, joined

ROOT = Path(__file__).parent.parent.parent


def trained(folder: Path, *, world: int) -> list[dict[str, Any]]:
    """What each process of a run wrote."""
    command = [sys.executable]
    if world > 1:
        command += ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={world}"]
    command += ["-m", "tests.training.worker", str(folder)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    paths = [folder / f"process-{rank}-of-{world}.json" for rank in range(world)]
    return [json.loads(path.read_text()) for path in paths]


@pytest.mark.cluster
def test_two_processes_learn_as_one(tmp_path: Path) -> None:
    # Answers of unequal length: each process counts other predictions, and only the sums are equal.
    examples = [[n % 40] * (2 + n % 11) for n in range(300)]
    marks = [[False] + [place % 3 != n % 3 for place in range(1, 2 + n % 11)] for n in range(300)]
    write_shards(zip(examples, marks, strict=True), tmp_path / "shards", vocab_size=40)
    [alone] = trained(tmp_path, world=1)
    first, second = trained(tmp_path, world=2)
    assert first == second
    assert first["tokens"] == alone["tokens"]
    for ours, expected in zip(first["losses"], alone["losses"], strict=True):
        assert ours == pytest.approx(expected, rel=1e-6, abs=1e-6)


def commanded(folder: Path, *words: str, world: int) -> tuple[str, list[dict[str, Any]]]:
    """What `cutaway pretrain` says and measures, in so many processes."""
    command = [sys.executable]
    if world > 1:
        command += ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={world}"]
    command += ["-m", "cutaway", "pretrain", f"data={folder / 'text.txt'}", "vocab_size=300"]
    command += ["model.context_length=32", "model.width=32", "model.num_layers=1"]
    command += ["model.num_heads=2", "pacing.rows=4", "pacing.compile=no"]
    # In bf16 the order of a sum shows in the third place already.
    command += ["pacing.precision=fp32", *words]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout, RunFolder(path=folder / f"run-{world}").metrics.read()


@pytest.mark.cluster
def test_the_command_itself_learns_in_two_processes_as_in_one(tmp_path: Path) -> None:
    words = ("the sea", "is a long way", "from here", "and the light", "is in her eyes")
    text = ". ".join(" ".join(words[n * k % 5] for k in range(1, 9)) for n in range(400))
    (tmp_path / "text.txt").write_text(text)
    measured = {}
    for world in (1, 2):
        run = f"run={tmp_path / f'run-{world}'}"
        said, measured[world] = commanded(tmp_path, run, "steps=12", world=world)
        # Only the first process speaks and writes.
        assert said.count("the base model is in") == 1
        said, again = commanded(tmp_path, run, "steps=12", world=world)
        assert "all 12 steps are done" in said
        assert again == measured[world]
    for alone, together in zip(measured[1], measured[2], strict=True):
        for name in {"loss", "gradient_norm", "bits_per_byte", "tokens"} & alone.keys():
            assert together[name] == pytest.approx(alone[name], rel=1e-5)


def test_a_process_alone_sums_and_agrees_with_itself() -> None:
    group = joined()
    assert group == Processes(rank=0, world=1)
    assert group.is_first
    values = torch.tensor([1.0, 2.0])
    group.sum_([values])
    assert values.tolist() == [1.0, 2.0]
    assert [group.agree(flag) for flag in (True, False)] == [True, False]
