"""Name to model: one dict, no decorators; and the sizes that the papers print."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

import torch
from torch import nn

from cutaway.errors import ConfigError
from cutaway.models.bert import Bert, BertConfig
from cutaway.models.gpt import GPT, GPTConfig
from cutaway.models.heads import Classifier
from cutaway.models.llama import Llama, LlamaConfig
from cutaway.models.seq2seq import Seq2Seq, Seq2SeqConfig
from cutaway.models.speedrun import Speedrun, SpeedrunConfig
from cutaway.models.transformer import Transformer, TransformerConfig

Kind = Literal["decoder", "encoder-decoder", "encoder", "classifier"]
"""What a model does: goes on with a text, reads one and writes another, gives each token of a text
a vector, or names the class of a text."""


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A model and the dataclass that says its sizes."""

    config: type
    """The dataclass of its sizes."""
    model: type[nn.Module]
    """The module."""
    kind: Kind = "decoder"
    """What it does by itself; a classifier is a body of another kind with a head on it."""
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
    "bert": Architecture(config=BertConfig, model=Bert, kind="encoder"),
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

    A table `classifier` (labels, dropout) puts a head for classes on it.

    Raises ConfigError for a name that is not in the catalog, a setting that the architecture does
    not have or lacks, and sizes that do not fit each other. Settings never name code.
    """
    sizes = dict(settings)
    name, table = sizes.pop("architecture", None), sizes.pop("classifier", None)
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
        model = kind.model(kind.config(**sizes), generator=generator)
        return model if table is None else classifier_on(model, generator=generator, **table)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"cannot build architecture {name!r}: {error}") from error


def classifier_on(
    body: nn.Module,
    *,
    labels: Sequence[str],
    dropout: float = 0.0,
    generator: torch.Generator | None = None,
) -> Classifier:
    """Puts a head for classes on a body: on the first token of an encoder, the last of a decoder.

    Raises ConfigError for a body that reads one text and writes another.
    """
    kind = kind_of(body)
    if kind not in ("encoder", "decoder"):
        raise ConfigError(f"no head for classes goes on an {kind}; give a bert or a decoder")
    return Classifier(
        body,
        labels=labels,
        reads="first" if kind == "encoder" else "last",
        dropout=dropout,
        generator=generator,
    )


def kind_of(model: nn.Module) -> Kind:
    """Returns what a model does."""
    return (
        "classifier"
        if isinstance(model, Classifier)
        else CATALOG[describe(model)["architecture"]].kind
    )


def describe(model: nn.Module) -> dict[str, Any]:
    """Returns the settings from which `build` makes this model again."""
    if isinstance(model, Classifier):
        table = {"labels": list(model.labels), "dropout": model.dropout.p}
        return {**describe(model.body), "classifier": table}
    for name, kind in CATALOG.items():
        if type(model) is kind.model:
            return {"architecture": name, **asdict(model.config)}  # type: ignore[call-overload]
    raise ConfigError(f"{type(model).__name__} is not in the catalog of models")


def without_memory(settings: GPTConfig | LlamaConfig) -> nn.Module:
    """Builds a model whose tensors have shapes but no storage: GPT-3 in a second."""
    with torch.device("meta"):
        return GPT(settings) if isinstance(settings, GPTConfig) else Llama(settings)
