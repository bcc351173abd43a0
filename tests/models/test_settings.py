"""The one dial and the sizes: what follows from what, and what is refused."""

from typing import Any

import pytest

from cutaway.errors import ConfigError
from cutaway.models.catalog import build
from cutaway.models.settings import LARGEST_SIZE, ModelSettings


def resolved(size: int = 2, **sizes: Any) -> dict[str, Any]:
    return ModelSettings(**sizes).resolved(size=size, vocab_size=300)


@pytest.mark.parametrize("architecture", ["speedrun", "llama", "gpt"])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_the_dial_alone_makes_a_model(architecture: Any, size: int) -> None:
    sizes = resolved(size, architecture=architecture, context_length=16)
    assert (sizes["width"], sizes["num_layers"], sizes["num_heads"]) == (64 * size, 2 * size, size)
    assert sizes["vocab_size"] == 300
    build(sizes)


def test_a_larger_dial_makes_a_larger_model() -> None:
    weights = [
        sum(weight.numel() for weight in build(resolved(size)).parameters()) for size in (1, 2, 3)
    ]
    assert weights == sorted(set(weights))


def test_what_is_given_stands_and_the_rest_follows() -> None:
    sizes = resolved(architecture="llama", width=192, num_layers=1, window=8)
    assert (sizes["width"], sizes["num_layers"], sizes["num_heads"]) == (192, 1, 3)
    assert sizes["num_key_value_heads"] == 3
    assert sizes["hidden_width"] == 512
    assert sizes["window"] == 8
    assert "tied" not in sizes


def test_the_width_of_the_feed_forward_part_is_a_multiple_of_32() -> None:
    for size in range(1, 9):
        assert resolved(size, architecture="llama")["hidden_width"] % 32 == 0


@pytest.mark.parametrize("size", [0, -1, LARGEST_SIZE + 1])
def test_a_size_out_of_range_is_told_with_the_range(size: int) -> None:
    with pytest.raises(ConfigError, match=f"size={size} is out of range; allowed are 1 to 32"):
        resolved(size)


@pytest.mark.parametrize(
    ("sizes", "told"),
    [
        ({"architecture": "gpt", "pair_rows": 9}, "model.pair_rows does not go with .*=gpt"),
        ({"architecture": "llama", "dropout": 0.1}, "model.dropout does not go with .*=llama"),
        ({"architecture": "speedrun", "window": 8}, "model.window does not go with .*=speedrun"),
        ({"context_length": 0}, "model.context_length=0 is out of range"),
        ({"width": -64}, "model.width=-64 is out of range"),
        ({"num_layers": -2}, "model.num_layers=-2 is out of range"),
    ],
)
def test_a_setting_that_does_not_fit_is_named(sizes: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        resolved(**sizes)


@pytest.mark.parametrize(
    "sizes",
    [
        {"architecture": "gpt", "num_key_value_heads": 2},
        {"architecture": "speedrun", "hidden_width": 64},
    ],
)
def test_a_setting_of_llama_alone_is_refused_elsewhere(sizes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="does not go with"):
        resolved(**sizes)


def test_zero_is_out_of_range_and_not_the_default() -> None:
    for name in ("width", "num_layers", "num_heads"):
        with pytest.raises(ConfigError, match=f"model.{name}=0 is out of range"):
            resolved(**{name: 0})
