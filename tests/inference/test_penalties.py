"""Penalties: what they do to logits, in closed form."""

import math

import pytest
import torch

from cutaway.errors import ConfigError
from cutaway.inference.penalties import Penalized, Penalties

LOGITS = torch.tensor([2.0, -1.0, 0.5, 3.0, 0.0])


def after(penalties: Penalties, *, prompt: list[int], answer: list[int]) -> list[float]:
    """The logits of a row that has read and written these tokens."""
    row = Penalized(penalties, prompt=prompt, vocabulary=5)
    for token in answer:
        row.count(token)
    return row.apply(LOGITS).tolist()


def test_repetition_makes_what_was_read_or_written_less_likely_whatever_its_sign() -> None:
    found = after(Penalties(repetition=2.0), prompt=[0, 1], answer=[3])
    assert found == [1.0, -2.0, 0.5, 1.5, 0.0]


def test_presence_counts_once_and_frequency_each_time_and_neither_the_prompt() -> None:
    found = after(Penalties(presence=0.5, frequency=0.25), prompt=[0], answer=[3, 3, 2])
    assert found == [2.0, -1.0, 0.5 - 0.75, 3.0 - 1.0, 0.0]


def test_a_bias_is_added_to_its_token_alone() -> None:
    found = after(Penalties(bias={1: 100.0, 4: -3.0}), prompt=[0], answer=[])
    assert found == [2.0, 99.0, 0.5, 3.0, -3.0]


def test_an_id_that_pads_the_models_vocabulary_is_passed_over() -> None:
    assert after(Penalties(repetition=2.0), prompt=[7], answer=[]) == LOGITS.tolist()


def test_penalties_that_are_not_set_do_nothing() -> None:
    assert Penalties().is_nothing
    assert not Penalties(bias={1: 0.5}).is_nothing
    assert after(Penalties(), prompt=[0], answer=[1]) == LOGITS.tolist()


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"repetition": 0.0}, "repetition_penalty is 0.0"),
        ({"presence": 2.5}, "presence_penalty is 2.5"),
        ({"frequency": math.nan}, "frequency_penalty is nan"),
        ({"bias": {3: 101.0}}, "logit_bias of token 3 is 101.0"),
        ({"bias": {3: math.nan}}, "logit_bias of token 3 is nan"),
        ({"bias": dict.fromkeys(range(1025), 1.0)}, "names 1025 tokens"),
    ],
)
def test_what_is_out_of_range_is_told(settings: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        Penalties(**settings)  # type: ignore[arg-type]
