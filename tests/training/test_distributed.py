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


def test_a_process_alone_sums_and_agrees_with_itself() -> None:
    group = joined()
    assert group == Processes(rank=0, world=1)
    assert group.is_first
    values = torch.tensor([1.0, 2.0])
    group.sum_([values])
    assert values.tolist() == [1.0, 2.0]
    assert [group.agree(flag) for flag in (True, False)] == [True, False]
