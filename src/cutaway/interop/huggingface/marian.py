"""Marian of `transformers`, in and out: the Transformer of 2017 with norms after its parts.

Where our sinusoids take turns in the channels, Marian's sines stand in the first half and cosines
in the second. A model does not care in which order the channels of its residual stream stand, as
long as all weights agree; so the weights are put into the other order, and nothing is added.
"""

from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from cutaway.errors import UsageError
from cutaway.interop.huggingface.given import ACTIVATIONS, Given
from cutaway.models.transformer import Transformer, TransformerConfig

WHOLE = "MarianMTModel"
"""Their class with logits."""

EPSILON = 1e-5
"""That of their norms; no config says it."""

NAMES = MappingProxyType(
    {
        "embedding": "model.shared",
        "attention.query_projection": "self_attn.q_proj",
        "attention.key_projection": "self_attn.k_proj",
        "attention.value_projection": "self_attn.v_proj",
        "attention.output_projection": "self_attn.out_proj",
        "attention_norm": "self_attn_layer_norm",
        "cross_attention.query_projection": "encoder_attn.q_proj",
        "cross_attention.key_projection": "encoder_attn.k_proj",
        "cross_attention.value_projection": "encoder_attn.v_proj",
        "cross_attention.output_projection": "encoder_attn.out_proj",
        "cross_norm": "encoder_attn_layer_norm",
        "feedforward.up": "fc1",
        "feedforward.down": "fc2",
        "feedforward_norm": "final_layer_norm",
    }
)
"""Their names of parts by ours."""

BIAS = "final_logits_bias"
"""Their name of what is added to the logits: one row, and no parameter."""

OUTPUTS = ("output_projection", "down")
"""Maps whose outputs, and not inputs, are channels of the residual stream."""


def marian_settings(given: Given) -> dict[str, Any]:
    """The settings of the catalog; what a key left out means is what it means to `transformers`.

    Raises:
        CheckpointError: an option that we do not have.
    """
    if not given.flag("scale_embedding", False):
        given.refuse("scale_embedding", "true")
    given.require("share_encoder_decoder_embeddings", True)
    given.require("tie_word_embeddings", True)
    given.require("is_decoder", False)
    named = given.values.get("architectures")
    if named not in (None, [], [WHOLE]):
        given.refuse("architectures", WHOLE)
    vocabulary = given.size("vocab_size", 58_101)
    heads = given.size("encoder_attention_heads", 16)
    hidden = given.size("encoder_ffn_dim", 4096)
    given.require("decoder_vocab_size", vocabulary)
    for name, own, otherwise in (
        ("decoder_attention_heads", heads, 16),
        ("decoder_ffn_dim", hidden, 4096),
    ):
        if given.size(name, otherwise) != own:
            given.refuse(name, f"{own}, as its encoder has")
    width = given.size("d_model", 1024)
    if width % 2:
        given.refuse("d_model", "an even number")
    end = given.values.get("eos_token_id", 0)
    if given.values.get("decoder_start_token_id", 58_100) != end:
        given.refuse("decoder_start_token_id", f"the token that ends texts, {end}")
    return {
        "architecture": "transformer",
        "vocab_size": vocabulary,
        "context_length": given.size("max_position_embeddings", 1024),
        "width": width,
        "num_layers": given.size("decoder_layers", 12),
        "num_encoder_layers": given.size("encoder_layers", 12),
        "num_heads": heads,
        "hidden_width": hidden,
        "norm_placement": "post",
        "activation": given.word("activation_function", ACTIVATIONS, "gelu"),
        "norm_epsilon": EPSILON,
        "dropout": given.number("dropout", 0.1),
        "tied": True,
        "logits_bias": True,
    }


def marian_config(config: TransformerConfig) -> dict[str, Any]:
    """The config for the class that computes the same.

    Raises:
        UsageError: a setting that Marian has not.
    """
    for name, is_like in (
        ("norm_placement", config.norm_placement == "post"),
        ("tied", config.tied),
        ("norm_epsilon", config.norm_epsilon == EPSILON),
        ("width", config.width % 2 == 0),
    ):
        if not is_like:
            raise UsageError(
                f"{name}={getattr(config, name)}: Marian of `transformers` has nothing of the kind,"
                " so this model cannot be exported;\nit has norm_placement=post, tied embeddings, "
                f"an even width and norm_epsilon={EPSILON}"
            )
    theirs = {own: name for name, own in reversed(list(ACTIVATIONS.items()))}
    hidden = 4 * config.width if config.hidden_width is None else config.hidden_width
    layers = config.num_layers
    if config.num_encoder_layers is not None:
        layers = config.num_encoder_layers
    return {
        "model_type": "marian",
        "architectures": [WHOLE],
        "is_encoder_decoder": True,
        "vocab_size": config.vocab_size,
        "decoder_vocab_size": config.vocab_size,
        "max_position_embeddings": config.context_length,
        "d_model": config.width,
        "encoder_layers": layers,
        "decoder_layers": config.num_layers,
        "encoder_attention_heads": config.num_heads,
        "decoder_attention_heads": config.num_heads,
        "encoder_ffn_dim": hidden,
        "decoder_ffn_dim": hidden,
        "activation_function": theirs[config.activation],
        "dropout": config.dropout,
        "attention_dropout": 0.0,
        "activation_dropout": 0.0,
        "scale_embedding": True,
        "share_encoder_decoder_embeddings": True,
        "tie_word_embeddings": True,
        "forced_eos_token_id": None,
    }


def stream_dimension(part: str, kind: str) -> int | None:
    """Which dimension of a weight runs along the residual stream; None: neither does."""
    last = part.rpartition(".")[2]
    if last in OUTPUTS:
        return 0
    if kind == "bias":
        return 0 if last.endswith("norm") else None
    return 0 if last.endswith("norm") else 1


def in_halves(width: int) -> Tensor:
    """Which channel of ours each of theirs is: first those of the sines, then of the cosines."""
    return torch.cat([torch.arange(0, width, 2), torch.arange(1, width, 2)])


def taking_turns(width: int) -> Tensor:
    """Which channel of theirs each of ours is."""
    return in_halves(width).argsort()


def no_bias(model: Transformer) -> Tensor:
    """What stands in their file for a model that adds nothing to its logits."""
    return torch.zeros(1, model.config.vocab_size)
