"""How a step is carried out changes its speed and nothing else."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from cutaway.nn.attention import Attention, Fused
from cutaway.training.compile import Execution, gradients_of
from cutaway.training.objectives import NextToken, SourceToTarget
from tests import laws, pair_laws
from tests.training.steps import step
from tests.training.test_objectives import batch_of

ROOT = Path(__file__).parent.parent.parent
NEEDS_COMPILER = pytest.mark.skipif(
    shutil.which("g++") is None, reason="torch.compile needs a C++ compiler, and there is no g++"
)


@pytest.mark.parametrize("name", laws.DECODERS)
def test_an_eager_step_gives_the_gradients_of_the_scaled_loss(name: str) -> None:
    total, found = step(laws.toy(name), Execution())
    model = laws.toy(name)
    loss = NextToken()(model, batch_of()).total
    (0.25 * loss).backward()
    assert total == pytest.approx(loss.item())
    for key, weight in model.named_parameters():
        if weight.requires_grad:
            torch.testing.assert_close(found[key], weight.grad, **laws.TOLERANCE)


def test_gradients_add_up_from_call_to_call() -> None:
    model = laws.toy("llama")
    gradients = gradients_of(model, NextToken(), execution=Execution(), row_length=12)
    weight = model.get_parameter("stack.norm.weight")
    gradients(batch_of(), torch.tensor(1.0))
    assert weight.grad is not None
    once = weight.grad.clone()
    gradients(batch_of(), torch.tensor(1.0))
    torch.testing.assert_close(weight.grad, 2 * once)


def test_a_step_that_is_not_compiled_uses_the_fused_kernel() -> None:
    model = laws.toy("llama")
    gradients_of(model, NextToken(), execution=Execution(), row_length=12)
    kernels = [part.kernel for part in model.modules() if isinstance(part, Attention)]
    assert all(isinstance(kernel, Fused) for kernel in kernels)


@pytest.mark.parametrize(("device", "expected"), [("cuda", []), ("cpu", [{"dynamic": True}])])
def test_what_goes_from_step_to_step_is_not_compiled_on_an_accelerator(
    device: str, expected: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def compile_(function: Any, **options: Any) -> Any:
        asked.append(options)
        return function

    monkeypatch.setattr(torch, "compile", compile_)
    gradients_of(
        pair_laws.toy("seq2seq of Cho"),
        SourceToTarget(),
        execution=Execution(is_compiled=True, device=device),
        row_length=24,
    )
    assert asked == expected


def test_low_precision_stays_near_and_keeps_gradients_in_full() -> None:
    exact, expected = step(laws.toy("llama"), Execution())
    total, found = step(laws.toy("llama"), Execution(precision="bf16"))
    assert total == pytest.approx(exact, rel=0.02)
    assert total != exact
    assert {slope.dtype for slope in found.values()} == {torch.float32}
    ours, theirs = (
        torch.cat([slope.flatten() for slope in each.values()]) for each in (found, expected)
    )
    assert nn.functional.cosine_similarity(ours, theirs, dim=0) > 0.995


@pytest.mark.slow
@NEEDS_COMPILER
def test_a_compiled_step_gives_the_gradients_of_the_eager_one() -> None:
    names = ["gpt with bands", "llama with everything", "speedrun with groups"]
    command = [sys.executable, "-m", "tests.training.steps", *names]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for line in map(json.loads, done.stdout.splitlines()):
        assert line["compiled"] == pytest.approx(line["eager"], rel=1e-5)
        assert line["difference"] < 1e-4
    assert len(done.stdout.splitlines()) == len(names)
