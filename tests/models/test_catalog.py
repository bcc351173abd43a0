"""The catalog: the papers' sizes, counted part by part without memory, and settings refused."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import nn

from cutaway.errors import ConfigError
from cutaway.models.catalog import CATALOG, PUBLISHED, build, describe, without_memory
from cutaway.models.gpt import GPTConfig
from cutaway.models.llama import LlamaConfig
from tests import laws

# Brown et al. 2020, table 2.1: weights, layers, width, width of a head. The paper's own width of
# the 13 billion model is 5140, which its 40 heads of 128 do not fill; its 24 heads of 128 of the
# 1.3 billion model do not fit in 2048. The catalog has 5120 and 16.
TABLE_2_1 = {
    "gpt3-small": (125e6, 12, 768, 64),
    "gpt3-medium": (350e6, 24, 1024, 64),
    "gpt3-large": (760e6, 24, 1536, 96),
    "gpt3-xl": (1.3e9, 24, 2048, 128),
    "gpt3-2.7b": (2.7e9, 32, 2560, 80),
    "gpt3-6.7b": (6.7e9, 32, 4096, 128),
    "gpt3-13b": (13.0e9, 40, 5120, 128),
    "gpt3": (175.0e9, 96, 12_288, 128),
}
EXACT = {
    "gpt1": 116_534_784,
    "gpt2": 124_439_808,
    "gpt2-medium": 354_823_168,
    "gpt2-large": 774_030_080,
    "gpt2-xl": 1_557_611_200,
    "gpt3": 174_604_259_328,
    "llama-7b": 6_738_415_616,
}
"""Counted from the released weights, GPT-3's from its sizes."""


def count(module: nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


@pytest.fixture(scope="module")
def empty() -> Mapping[str, nn.Module]:
    """Every published model, with shapes and no storage."""
    return {name: without_memory(settings) for name, settings in PUBLISHED.items()}


def test_the_papers_models_take_no_memory(empty: Mapping[str, nn.Module]) -> None:
    assert all(weight.is_meta for model in empty.values() for weight in model.parameters())


@pytest.mark.parametrize("name", EXACT)
def test_a_released_model_has_as_many_weights(name: str, empty: Mapping[str, nn.Module]) -> None:
    assert count(empty[name]) == EXACT[name]


@pytest.mark.parametrize("name", TABLE_2_1)
def test_gpt3_has_the_sizes_of_its_table(name: str, empty: Mapping[str, nn.Module]) -> None:
    weights, layers, width, head_width = TABLE_2_1[name]
    settings = PUBLISHED[name]
    assert (settings.num_layers, settings.width) == (layers, width)
    assert settings.width // settings.num_heads == head_width
    assert settings.context_length == 2048
    assert count(empty[name]) == pytest.approx(weights, rel=0.02)


def test_gpt3_is_96_layers_of_12288_and_174_6_billion_weights(
    empty: Mapping[str, nn.Module],
) -> None:
    settings, model = PUBLISHED["gpt3"], empty["gpt3"]
    assert (settings.num_layers, settings.width) == (96, 12_288)
    assert len(list(model.get_submodule("stack.blocks").children())) == 96
    assert round(count(model) / 1e9, 1) == 174.6


@pytest.mark.parametrize("name", [name for name in PUBLISHED if name.startswith("gpt")])
def test_a_gpt_is_the_sum_of_its_parts(name: str, empty: Mapping[str, nn.Module]) -> None:
    settings, model = PUBLISHED[name], empty[name]
    width, layers = settings.width, settings.num_layers
    parts = {
        "embedding": settings.vocab_size * width,
        "position": settings.context_length * width,
        "unembedding": settings.vocab_size * width,
        "stack.norm": 2 * width if name != "gpt1" else 0,
    }
    for layer in (0, layers - 1):
        block = f"stack.blocks.{layer}"
        parts |= {
            f"{block}.attention": 4 * width**2 + 4 * width,
            f"{block}.feedforward": 8 * width**2 + 5 * width,
            f"{block}.attention_norm": 2 * width,
            f"{block}.feedforward_norm": 2 * width,
        }
    assert {part: count(model.get_submodule(part)) for part in parts} == parts
    # The unembedding is the embedding, so it is counted once.
    whole = parts["embedding"] + parts["position"] + parts["stack.norm"]
    assert count(model) == whole + layers * (12 * width**2 + 13 * width)


def test_a_llama_is_the_sum_of_its_parts(empty: Mapping[str, nn.Module]) -> None:
    settings, model = PUBLISHED["llama-7b"], empty["llama-7b"]
    assert isinstance(settings, LlamaConfig)
    width, hidden, vocab = settings.width, settings.hidden_width, settings.vocab_size
    parts = {
        "embedding": vocab * width,
        "unembedding": vocab * width,
        "stack.norm": width,
        "stack.blocks.31.attention": 4 * width**2,
        "stack.blocks.31.feedforward": 3 * width * hidden,
    }
    assert {part: count(model.get_submodule(part)) for part in parts} == parts
    block = 4 * width**2 + 3 * width * hidden + 2 * width
    assert count(model) == 2 * vocab * width + width + 32 * block


def test_every_second_block_of_gpt3_is_banded(empty: Mapping[str, nn.Module]) -> None:
    stack: Any = empty["gpt3"].get_submodule("stack")
    assert stack.windows[::2] == (None,) * 48
    assert all(window is not None for window in stack.windows[1::2])


@pytest.mark.parametrize("name", laws.DECODERS)
def test_what_describes_a_model_builds_it_again(name: str) -> None:
    model = build(laws.DECODERS[name])
    settings = describe(model)
    again = build(settings)
    assert describe(again) == settings
    assert settings.items() >= laws.DECODERS[name].items()
    shapes = {weight: tensor.shape for weight, tensor in model.state_dict().items()}
    assert {weight: tensor.shape for weight, tensor in again.state_dict().items()} == shapes


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"architecture": "gpt5"}, r"unknown architecture 'gpt5'; .*gpt, llama, seq2seq, speedrun"),
        ({"architecture": "os.system"}, "unknown architecture"),
        ({"num_head": 2}, r"'gpt' has no setting 'num_head'; it has: .*num_heads"),
        ({"rotary_base": 1e4}, "'gpt' has no setting 'rotary_base'"),
        ({"num_heads": 3}, "num_heads 3 does not divide width 16"),
    ],
)
def test_settings_that_nothing_can_be_built_from_are_refused(
    change: dict[str, Any], told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        build(laws.DECODERS["gpt"] | change)


def test_a_setting_that_is_missing_is_named() -> None:
    settings = {name: value for name, value in laws.DECODERS["gpt"].items() if name != "width"}
    with pytest.raises(ConfigError, match="width"):
        build(settings)


def test_heads_of_odd_width_cannot_be_rotated() -> None:
    for name in ("llama", "speedrun"):
        with pytest.raises(ConfigError, match=r"even|odd"):
            build(laws.DECODERS[name] | {"width": 20, "num_heads": 4})


def test_a_module_that_is_no_architecture_is_not_described() -> None:
    with pytest.raises(ConfigError, match="Linear is not in the catalog"):
        describe(nn.Linear(1, 1))


def test_every_architecture_has_a_config_of_its_own() -> None:
    assert len({kind.config for kind in CATALOG.values()}) == len(CATALOG)
    assert CATALOG["gpt"].config is GPTConfig


def test_a_prompt_longer_than_the_context_is_an_error_and_no_nonsense() -> None:
    for name in laws.DECODERS:
        model = laws.toy(name)
        with pytest.raises((IndexError, ValueError)):
            model(torch.zeros(1, 25, dtype=torch.int64))
