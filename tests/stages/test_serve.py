"""`cutaway serve` opens each model as it was asked to."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from cutaway.errors import ConfigError
from cutaway.inference.blocks import BLOCK
from cutaway.inference.engine import Engine
from cutaway.interop.open import open_model
from cutaway.stages.serve import Config, _open
from tests.stages.conftest import Listener


def engine_of(config: Config, *, console: Listener) -> Engine:
    served, _, _ = _open(config, console=console)
    return served[0].engine


@pytest.mark.parametrize("shared_mib", [0, 1, 256])
def test_what_is_kept_of_beginnings_has_the_size_that_was_asked_for(
    model_folder: Callable[..., Path], console: Listener, shared_mib: int
):
    engine = engine_of(Config(model=model_folder(), shared_mib=shared_mib), console=console)
    slot = engine.model.new_cache(1, 1)
    block = BLOCK * sum(part.nbytes for part in (*slot.keys, *slot.values))
    assert engine.statistics().blocks == shared_mib * 2**20 // block


@pytest.mark.parametrize("name", ["port", "max_running", "max_waiting", "shared_mib"])
def test_a_size_out_of_its_range_is_refused_by_name(name: str):
    with pytest.raises(ConfigError, match=f"{name}=-1 is out of range"):
        Config(model=Path("runs/demo"), **{name: -1})


def test_weights_are_plain_unless_a_format_is_asked_for(
    model_folder: Callable[..., Path], console: Listener
):
    folder, tokens = model_folder(), torch.tensor([[1, 2, 3]])
    expected = open_model(folder, device="cpu").model(tokens)
    plain = engine_of(Config(model=folder), console=console).model
    assert torch.equal(plain(tokens), expected)
    assert "weights=" not in console.text
    rounded = engine_of(Config(model=folder, weights="int8"), console=console).model
    assert "weights=int8: " in console.text
    assert not torch.equal(rounded(tokens), expected)
    torch.testing.assert_close(rounded(tokens), expected, atol=0.1, rtol=0.1)
