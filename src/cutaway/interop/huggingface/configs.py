"""Configs in and out: what `transformers` calls a size, and what it means where it is left out.

Every option that changes the arithmetic is either a setting of ours or refused by its name. Other
keys are passed over, as the classes of `transformers` pass them over; one that names code is not.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from types import MappingProxyType
from typing import Any

from torch import nn

from cutaway.errors import CheckpointError, UsageError
from cutaway.interop.huggingface.bert import bert_config, bert_settings
from cutaway.interop.huggingface.given import ACTIVATIONS, Given, refuse_code
from cutaway.interop.huggingface.marian import marian_config, marian_settings
from cutaway.models.bert import Bert
from cutaway.models.gpt import GPT, GPTConfig
from cutaway.models.heads import Classifier
from cutaway.models.llama import Llama, LlamaConfig
from cutaway.models.transformer import Transformer

ARCHITECTURES = MappingProxyType(
    {
        "gpt2": "GPT2LMHeadModel",
        "llama": "LlamaForCausalLM",
        "mistral": "MistralForCausalLM",
        "qwen2": "Qwen2ForCausalLM",
        "qwen3": "Qwen3ForCausalLM",
    }
)
"""The class of `transformers` for each type."""


def settings_from(config: Mapping[str, Any], *, place: str) -> dict[str, Any]:
    """The settings of the catalog for a Hugging Face config.

    Raises:
        CheckpointError: a type or an option that we do not have, or a config that names code.
    """
    refuse_code(config, place=place)
    kind = config.get("model_type")
    if not isinstance(kind, str) or kind not in READERS:
        raise CheckpointError(
            f"{place}: a Hugging Face config of type {str(kind)[:80]!r};\n"
            f"this version opens the types {', '.join(READERS)}"
        )
    if config.get("quantization_config"):
        raise CheckpointError(f"{place}: the weights are quantized; ask for the ones in bf16")
    if kind in ("bert", "marian"):  # a BERT of any class: the encoder is in each of them
        return READERS[kind](Given(values=config, place=place))
    whole, named = ARCHITECTURES[kind], config.get("architectures")
    body = whole.replace("LMHead", "").replace("ForCausalLM", "Model")
    if named not in (None, [], [whole], [body]):
        raise CheckpointError(
            f"{place}: the weights are of {str(named)[:120]}, and only {whole} can be opened"
        )
    return READERS[kind](Given(values=config, place=place))


def config_for(model: nn.Module) -> dict[str, Any]:
    """The Hugging Face config of a model, for the class that computes the same.

    Raises:
        UsageError: `transformers` has no such class.
    """
    if isinstance(model, GPT):
        return _gpt2_config(model.config)
    if isinstance(model, Llama):
        return _llama_config(model.config)
    if isinstance(model, Bert) or (isinstance(model, Classifier) and model.reads == "first"):
        return bert_config(model)
    if isinstance(model, Transformer):
        return marian_config(model.config)
    raise UsageError(
        f"`transformers` has no class that computes what {type(model).__name__} does;\n"
        "models of model.architecture=llama, gpt, bert and transformer can be exported"
    )


def _gpt2(given: Given) -> dict[str, Any]:
    given.require("scale_attn_weights", True)
    given.require("scale_attn_by_inverse_layer_idx", False)
    given.require("add_cross_attention", False)
    inner = given.values.get("n_inner")
    return {
        "architecture": "gpt",
        "vocab_size": given.size("vocab_size", 50_257),
        "context_length": given.size("n_positions", 1024),
        "width": given.size("n_embd", 768),
        "num_layers": given.size("n_layer", 12),
        "num_heads": given.size("n_head", 12),
        "hidden_width": None if inner is None else given.size("n_inner"),
        "activation": given.word("activation_function", ACTIVATIONS, "gelu_new"),
        "norm_epsilon": given.number("layer_norm_epsilon", 1e-5),
        "dropout": given.number("resid_pdrop", 0.1),
        "tied": given.flag("tie_word_embeddings", True),
    }


def _gpt2_config(config: GPTConfig) -> dict[str, Any]:
    unlike = [
        name
        for name, is_like in (
            ("norm_placement", config.norm_placement == "pre"),
            ("window", config.window is None or config.window >= config.context_length),
        )
        if not is_like
    ]
    if unlike:
        raise UsageError(
            f"{unlike[0]}={getattr(config, unlike[0])}: GPT-2 of `transformers` has nothing of the "
            "kind, so this model cannot be exported"
        )
    theirs = {own: name for name, own in reversed(list(ACTIVATIONS.items()))}
    return {
        "model_type": "gpt2",
        "architectures": [ARCHITECTURES["gpt2"]],
        "vocab_size": config.vocab_size,
        "n_positions": config.context_length,
        "n_embd": config.width,
        "n_layer": config.num_layers,
        "n_head": config.num_heads,
        "n_inner": config.hidden_width,
        "activation_function": theirs[config.activation],
        "layer_norm_epsilon": config.norm_epsilon,
        "resid_pdrop": config.dropout,
        "embd_pdrop": config.dropout,
        "attn_pdrop": 0.0,
        "tie_word_embeddings": config.tied,
    }


def _llama(given: Given) -> dict[str, Any]:
    bias = given.flag("attention_bias", False)
    return _decoder(given) | {
        "projection_bias": bias,
        "output_bias": bias,
        "feedforward_bias": given.flag("mlp_bias", False),
    }


def _mistral(given: Given) -> dict[str, Any]:
    # Left out it is 4,096, which is not the same as the null of later models.
    window = given.values.get("sliding_window", 4096)
    return _decoder(given, key_value_heads=8) | {
        "window": None if window is None else given.size("sliding_window", 4096)
    }


def _qwen2(given: Given) -> dict[str, Any]:
    return (
        _decoder(given, key_value_heads=32)
        | {"projection_bias": True}
        | _qwen_window(given, num_layers=given.size("num_hidden_layers"))
    )


def _qwen3(given: Given) -> dict[str, Any]:
    bias = given.flag("attention_bias", False)
    return (
        _decoder(given, key_value_heads=32, head_width=128)
        | {"query_key_norm": True, "projection_bias": bias, "output_bias": bias}
        | _qwen_window(given, num_layers=given.size("num_hidden_layers"))
    )


READERS: Mapping[str, Callable[[Given], dict[str, Any]]] = MappingProxyType(
    {
        "gpt2": _gpt2,
        "llama": _llama,
        "mistral": _mistral,
        "qwen2": _qwen2,
        "qwen3": _qwen3,
        "bert": bert_settings,
        "marian": marian_settings,
    }
)


def _decoder(
    given: Given, *, key_value_heads: int | None = None, head_width: int | None = None
) -> dict[str, Any]:
    """What the Llama style has in common; the two numbers are what a left out value means."""
    given.require("hidden_act", "silu")
    given.require("partial_rotary_factor", 1.0)
    heads = given.size("num_attention_heads")
    width = given.size("hidden_size")
    return {
        "architecture": "llama",
        "vocab_size": given.size("vocab_size"),
        "context_length": given.size("max_position_embeddings"),
        "width": width,
        "num_layers": given.size("num_hidden_layers"),
        "num_heads": heads,
        "num_key_value_heads": given.size("num_key_value_heads", key_value_heads or heads),
        "hidden_width": given.size("intermediate_size"),
        "head_width": given.size("head_dim", head_width or max(1, width // heads)),
        "norm_epsilon": given.number("rms_norm_eps", 1e-6),
        "tied": given.flag("tie_word_embeddings", False),
        **_rotation(given),
    }


def _rotation(given: Given) -> dict[str, Any]:
    """The rotation: `rope_parameters`, or `rope_theta` and `rope_scaling` in older files."""
    found = given.values.get("rope_parameters") or given.values.get("rope_scaling") or {}
    if not isinstance(found, dict):
        given.refuse("rope_scaling", "a table")
    inner = Given(values=found, place=f"{given.place}: rope_parameters")
    outer = inner if "rope_theta" in found else given
    settings: dict[str, Any] = {"rotary_base": outer.number("rope_theta", 10_000.0)}
    if settings["rotary_base"] <= 1:
        outer.refuse("rope_theta", "a number above 1")
    inner.require("partial_rotary_factor", 1.0)
    kind = found.get("rope_type", found.get("type", "default"))
    if kind == "default":
        return settings
    if kind not in ("linear", "llama3"):
        Given(values={"rope_type": kind}, place=given.place).refuse(
            "rope_type", "default, linear or llama3"
        )
    settings |= {"rotary_scaling": kind, "rotary_factor": inner.number("factor")}
    if kind == "llama3":
        settings["rotary_low"] = inner.number("low_freq_factor")
        settings["rotary_high"] = inner.number("high_freq_factor")
        settings["rotary_original_length"] = inner.size("original_max_position_embeddings")
    return settings


def _qwen_window(given: Given, *, num_layers: int) -> dict[str, Any]:
    if not given.flag("use_sliding_window", False) or given.values.get("sliding_window") is None:
        window, first = None, num_layers
    else:
        window = given.size("sliding_window")
        first = given.size("max_window_layers", 28) if given.values.get("max_window_layers") else 0
    kinds = given.values.get("layer_types")
    expected = ["full_attention"] * min(first, num_layers)
    expected += ["sliding_attention"] * (num_layers - len(expected))
    if kinds not in (None, expected):
        given.refuse("layer_types", "full attention up to max_window_layers, then windows")
    return {"window": window, "first_windowed_layer": 0 if window is None else first}


def _llama_config(config: LlamaConfig) -> dict[str, Any]:
    kind = _kind_for(config)
    theirs = {
        "model_type": kind,
        "architectures": [ARCHITECTURES[kind]],
        "vocab_size": config.vocab_size,
        "max_position_embeddings": config.context_length,
        "hidden_size": config.width,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "num_key_value_heads": config.num_key_value_heads,
        "intermediate_size": config.hidden_width,
        "head_dim": config.channels,
        "hidden_act": "silu",
        "rms_norm_eps": config.norm_epsilon,
        "tie_word_embeddings": config.tied,
        "attention_dropout": 0.0,
        # In the words of transformers 4 as well as 5.
        "rope_theta": config.rotary_base,
        "rope_scaling": _scaling_of(config),
    }
    if kind in ("llama", "qwen3"):
        theirs["attention_bias"] = config.projection_bias
    if kind == "llama":
        theirs["mlp_bias"] = config.feedforward_bias
    if kind == "mistral":
        theirs["sliding_window"] = config.window
    if kind in ("qwen2", "qwen3"):
        theirs["use_sliding_window"] = config.window is not None
        theirs["sliding_window"] = config.window
        theirs["max_window_layers"] = (
            config.num_layers if config.window is None else config.first_windowed_layer
        )
    return theirs


def _kind_for(config: LlamaConfig) -> str:
    """The type that has all of a model's options."""
    is_windowed = config.window is not None
    has_bias = config.projection_bias or config.output_bias
    is_even = config.projection_bias == config.output_bias
    if config.query_key_norm:
        kinds = ["qwen3"] if is_even and not config.feedforward_bias else []
    elif not is_windowed and is_even:
        kinds = ["llama"]
    elif config.projection_bias and not config.output_bias and not config.feedforward_bias:
        kinds = ["qwen2"]
    elif is_windowed and not has_bias and not config.feedforward_bias:
        kinds = ["mistral"] if config.first_windowed_layer == 0 else []
    else:
        kinds = []
    if not kinds:
        options = {
            name: value
            for name, value in asdict(config).items()
            if name.endswith("bias") or "window" in name or name == "query_key_norm"
        }
        told = ", ".join(f"{name}={value}" for name, value in options.items())
        raise UsageError(f"`transformers` has no class with these options together:\n{told}")
    return kinds[0]


def _scaling_of(config: LlamaConfig) -> dict[str, Any] | None:
    if config.rotary_scaling == "none":
        return None
    scaling: dict[str, Any] = {
        "rope_type": config.rotary_scaling,
        "factor": config.rotary_factor,
    }
    if config.rotary_scaling == "llama3":
        scaling |= {
            "low_freq_factor": config.rotary_low,
            "high_freq_factor": config.rotary_high,
            "original_max_position_embeddings": config.rotary_original_length,
        }
    return scaling
