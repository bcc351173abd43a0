"""Name to model: one dict, no decorators; and the sizes that the papers print."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

import torch
from torch import nn

from cutaway.errors import ConfigError
from cutaway.models.gpt import GPT, GPTConfig
from cutaway.models.llama import Llama, LlamaConfig
from cutaway.models.seq2seq import Seq2Seq, Seq2SeqConfig
from cutaway.models.speedrun import Speedrun, SpeedrunConfig
from cutaway.models.transformer import Transformer, TransformerConfig


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A model and the dataclass that says its sizes."""

    config: type
    """The dataclass of its sizes."""
    model: type[nn.Module]
    """The module."""
    kind: Literal["decoder", "encoder-decoder"] = "decoder"
    """A decoder goes on with a text; an encoder-decoder reads one text and writes another."""
    batches: Literal["packed", "bucketed"] = "packed"
    """Whether it reads several texts in a row, or one a row among rows of like length."""


CATALOG: dict[str, Architecture] = {
    "gpt": Architecture(config=GPTConfig, model=GPT),
    "llama": Architecture(config=LlamaConfig, model=Llama),
    "speedrun": Architecture(config=SpeedrunConfig, model=Speedrun),
    "transformer": Architecture(
        config=TransformerConfig, model=Transformer, kind="encoder-decoder"
    ),
    "seq2seq": Architecture(
        config=Seq2SeqConfig, model=Seq2Seq, kind="encoder-decoder", batches="bucketed"
    ),
}


def _gpt(width: int, num_layers: int, num_heads: int, **rest: Any) -> GPTConfig:
    sizes = {"vocab_size": 50_257, "context_length": 1024} | rest
    return GPTConfig(width=width, num_layers=num_layers, num_heads=num_heads, **sizes)


PUBLISHED: dict[str, GPTConfig | LlamaConfig] = {
    # Radford et al. 2018, section 4.1: 40,000 merges, 478 further tokens.
    "gpt1": _gpt(768, 12, 12, vocab_size=40_478, context_length=512, norm_placement="post"),
    # Radford et al. 2019, table 2.
    "gpt2": _gpt(768, 12, 12),
    "gpt2-medium": _gpt(1024, 24, 16),
    "gpt2-large": _gpt(1280, 36, 20),
    "gpt2-xl": _gpt(1600, 48, 25),
    # Brown et al. 2020, table 2.1; every second layer is banded, the paper does not say how wide.
    "gpt3-small": _gpt(768, 12, 12, context_length=2048, window=256),
    "gpt3-medium": _gpt(1024, 24, 16, context_length=2048, window=256),
    "gpt3-large": _gpt(1536, 24, 16, context_length=2048, window=256),
    "gpt3-xl": _gpt(2048, 24, 16, context_length=2048, window=256),
    "gpt3-2.7b": _gpt(2560, 32, 32, context_length=2048, window=256),
    "gpt3-6.7b": _gpt(4096, 32, 32, context_length=2048, window=256),
    "gpt3-13b": _gpt(5120, 40, 40, context_length=2048, window=256),
    "gpt3": _gpt(12_288, 96, 96, context_length=2048, window=256),
    # Touvron et al. 2023, table 2.
    "llama-7b": LlamaConfig(
        vocab_size=32_000,
        context_length=2048,
        width=4096,
        num_layers=32,
        num_heads=32,
        num_key_value_heads=32,
        hidden_width=11_008,
    ),
}


def build(settings: Mapping[str, Any], *, generator: torch.Generator | None = None) -> nn.Module:
    """Makes the model that `settings["architecture"]` names, of the sizes in the other settings.

    Raises ConfigError for a name that is not in the catalog, a setting that the architecture does
    not have or lacks, and sizes that do not fit each other. Settings never name code.
    """
    sizes = dict(settings)
    name = sizes.pop("architecture", None)
    if name not in CATALOG:
        raise ConfigError(
            f"unknown architecture {name!r}; this version knows: {', '.join(sorted(CATALOG))}"
        )
    kind = CATALOG[name]
    known = {field.name for field in fields(kind.config)}
    for key in sizes:
        if key not in known:
            raise ConfigError(
                f"architecture {name!r} has no setting {key!r}; it has: {sorted(known)}"
            )
    try:
        return kind.model(kind.config(**sizes), generator=generator)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"cannot build architecture {name!r}: {error}") from error


def kind_of(model: nn.Module) -> Literal["decoder", "encoder-decoder"]:
    """Returns what a model of the catalog does."""
    return CATALOG[describe(model)["architecture"]].kind


def describe(model: nn.Module) -> dict[str, Any]:
    """Returns the settings from which `build` makes this model again."""
    for name, kind in CATALOG.items():
        if type(model) is kind.model:
            return {"architecture": name, **asdict(model.config)}  # type: ignore[call-overload]
    raise ConfigError(f"{type(model).__name__} is not in the catalog of models")


def without_memory(settings: GPTConfig | LlamaConfig) -> nn.Module:
    """Builds a model whose tensors have shapes but no storage: GPT-3 in a second."""
    with torch.device("meta"):
        return GPT(settings) if isinstance(settings, GPTConfig) else Llama(settings)
