"""Answers come from the policy as it is now, in its fast form where it has one."""

import pytest
import torch
from torch import nn

from cutaway.alignment.sequences import read_answers, rows_of
from cutaway.inference.engine import Engine
from cutaway.inference.native import build
from cutaway.inference.sampling import Temperature
from tests.alignment.toys import LETTERS, PROMPTS, hash_of, roller, rounds, toy_model


def moved(model: nn.Module) -> nn.Module:
    """The same model after a step that changed every weight."""
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(-1.5)
    return model


def test_answers_are_those_of_the_plain_engine_after_every_step_of_the_policy() -> None:
    model = toy_model()
    asker = roller(model)
    for policy in (model, moved(model)):
        found = asker.roll_out(PROMPTS, seeds=range(6))
        plain = Engine(policy, LETTERS).generate(
            [asker.ids(prompt) for prompt in PROMPTS],
            sampler=Temperature(1.0),
            max_tokens=asker.max_tokens,
            seeds=range(6),
            stop_ids=asker.stop_ids,
        )
        assert [list(one.answer) for one in found.written] == [one.ids for one in plain]


def test_what_wrote_the_answers_reads_them_as_the_policy_did() -> None:
    model = toy_model()
    rollout = roller(model).roll_out(PROMPTS, seeds=range(6))
    rows = rows_of(rollout.written)
    with torch.no_grad():
        expected = read_answers(model, rows).logprobs
        moved(model)
        found = read_answers(rollout.writer, rows).logprobs
    if rollout.writer is model:
        pytest.skip(f"there is no fast form here: {build.load().reason}")
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_a_policy_that_is_the_reference_has_not_gone_away_from_it() -> None:
    model = toy_model()
    before = hash_of(model)
    asked = rounds(model)
    found = asked.score(asked.roll_out(0, prompts=4, answers=3))
    assert float(found.kl) == 0.0
    assert hash_of(model) == before
