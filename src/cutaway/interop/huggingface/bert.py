"""BERT's config, in and out, for each of the classes of `transformers` that hold one."""

from types import MappingProxyType
from typing import Any

from cutaway.interop.huggingface.given import ACTIVATIONS, Given
from cutaway.models.bert import Bert
from cutaway.models.heads import Classifier

HEADS = MappingProxyType(
    {
        "BertModel": "none",
        "BertForMaskedLM": "words",
        "BertForPreTraining": "words_and_order",
    }
)
"""Their classes, with the heads that we call so; of any other class the encoder is opened alone."""

CLASSES = "BertForSequenceClassification"
"""Their class with a head for classes."""


def bert_settings(given: Given) -> dict[str, Any]:
    """The settings of the catalog; what a key left out means is what it means to `transformers`.

    Raises:
        CheckpointError: an option that we do not have.
    """
    given.require("position_embedding_type", "absolute")
    given.require("is_decoder", False)
    given.require("add_cross_attention", False)
    given.require("tie_word_embeddings", True)
    named = given.values.get("architectures")
    whole = named[0] if isinstance(named, list) and len(named) == 1 else "BertModel"
    dropout = given.number("hidden_dropout_prob", 0.1)
    settings = {
        "architecture": "bert",
        "vocab_size": given.size("vocab_size", 30_522),
        "context_length": given.size("max_position_embeddings", 512),
        "width": given.size("hidden_size", 768),
        "num_layers": given.size("num_hidden_layers", 12),
        "num_heads": given.size("num_attention_heads", 12),
        "hidden_width": given.size("intermediate_size", 3072),
        "num_segments": given.size("type_vocab_size", 2),
        "activation": given.word("hidden_act", ACTIVATIONS, "gelu"),
        "norm_epsilon": given.number("layer_norm_eps", 1e-12),
        "dropout": dropout,
        "heads": HEADS.get(whole, "none"),
    }
    if whole == CLASSES:
        given.require("problem_type", "single_label_classification")
        labels = _labels(given)
        settings["classifier"] = {
            "labels": labels,
            "dropout": given.number("classifier_dropout", dropout),
        }
    return settings


def bert_config(model: Bert | Classifier) -> dict[str, Any]:
    """The config for the class that computes the same."""
    config = model.config
    theirs = {own: name for name, own in reversed(list(ACTIVATIONS.items()))}
    written = {
        "model_type": "bert",
        "architectures": [next(name for name, own in HEADS.items() if own == config.heads)],
        "vocab_size": config.vocab_size,
        "max_position_embeddings": config.context_length,
        "hidden_size": config.width,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "intermediate_size": config.hidden_width,
        "type_vocab_size": config.num_segments,
        "hidden_act": theirs[config.activation],
        "layer_norm_eps": config.norm_epsilon,
        "hidden_dropout_prob": config.dropout,
        "attention_probs_dropout_prob": 0.0,
        "position_embedding_type": "absolute",
        "tie_word_embeddings": True,
    }
    if isinstance(model, Classifier):
        written |= {
            "architectures": [CLASSES],
            "problem_type": "single_label_classification",
            "classifier_dropout": model.dropout.p,
            "id2label": {str(place): label for place, label in enumerate(model.labels)},
            "label2id": {label: place for place, label in enumerate(model.labels)},
        }
    return written


def _labels(given: Given) -> list[str]:
    found = given.values.get("id2label")
    if found is None:
        return ["LABEL_0", "LABEL_1"]
    if not isinstance(found, dict) or {*map(str, found)} != {*map(str, range(len(found)))}:
        given.refuse("id2label", "a name for each number from 0 on")
    by_number = {str(number): str(label) for number, label in found.items()}
    return [by_number[str(number)] for number in range(len(by_number))]
