"""A model from the settings in a file, each of them checked before anything is made."""

import dataclasses
import json
from typing import Any

from torch import nn

from cutaway.errors import CheckpointError, ConfigError
from cutaway.models.catalog import CATALOG, build
from cutaway.nn.lora import apply_lora

LARGEST_NUMBER = 2**31
LARGEST = {
    "num_layers": 1024,
    "num_encoder_layers": 1024,
    "num_heads": 4096,
    "context_length": 2**18,
    "width": 2**18,
}
"""What a config may ask for; memory is taken only after the shapes were found in the file."""

MOST_CLASSES = 10_000

MAY_BE_ZERO = {"first_windowed_layer", "pair_rows", "triple_rows", "spelled_bytes", "dropout"}


def model_from(settings: dict[str, Any], *, place: str) -> nn.Module:
    """The model that a config.json describes, each field of it checked before anything is made.

    A table `lora` (targets, rank, alpha) says that the weights are a frozen model with adapters, a
    table `classifier` (labels, dropout) that a head for classes stands on it.

    Raises:
        CheckpointError: the architecture or a field is unknown or missing, or a value is of the
            wrong kind, out of range, or does not fit another.
    """
    sizes = {key: value for key, value in settings.items() if key not in ("lora", "classifier")}
    _check_settings(sizes, place=place)
    try:
        if "classifier" in settings:
            sizes["classifier"] = _classes(settings["classifier"])
        model = build(sizes)
        if "lora" in settings:
            _adapt(model, settings["lora"])
    except (ConfigError, ValueError) as error:
        raise CheckpointError(f"{place}: {error}") from error
    return model


def _adapt(model: nn.Module, lora: object) -> None:
    match lora:
        case {"targets": [*targets], "rank": int(rank), "alpha": int() | float() as alpha, **rest}:
            if all(isinstance(name, str) for name in targets) and not rest.keys() - {"dropout"}:
                apply_lora(model, targets=targets, rank=rank, alpha=float(alpha))
                return
    raise ValueError("`lora` is not a table of targets (a list of names), rank and alpha")


def _classes(table: object) -> dict[str, Any]:
    match table:
        case {"labels": [*labels], "dropout": int() | float() as dropout, **rest}:
            named = {label for label in labels if isinstance(label, str)}
            are_good = len(named) == len(labels) and 2 <= len(labels) <= MOST_CLASSES
            if are_good and not rest and 0 <= dropout < 1:
                return {"labels": labels, "dropout": float(dropout)}
    raise ValueError("`classifier` is not a table of labels (different texts) and dropout")


def _check_settings(settings: dict[str, Any], *, place: str) -> None:
    name = settings.get("architecture")
    if not isinstance(name, str) or name not in CATALOG:
        if "model_type" in settings or "architectures" in settings:
            kind = str(settings.get("model_type"))[:80]
            raise CheckpointError(
                f"{place}: a Hugging Face config of type {kind!r}, which cannot be opened yet;\n"
                f"this version opens its own architectures: {', '.join(CATALOG)}"
            )
        raise CheckpointError(
            f"{place}: unknown architecture {str(name)[:80]!r};\n"
            f"this version knows {', '.join(CATALOG)}"
        )
    fields = {field.name: field for field in dataclasses.fields(CATALOG[name].config)}
    for key in sorted(settings.keys() - fields.keys() - {"architecture"}):
        raise CheckpointError(
            f"{place}: `{key[:80]}` is no setting of {name}; it has {', '.join(fields)}"
        )
    for key, field in fields.items():
        if key in settings:
            _check_value(settings[key], key=key, annotation=field.type, place=place)
        elif field.default is dataclasses.MISSING:
            raise CheckpointError(f"{place}: `{key}` is missing")


def _check_value(value: object, *, key: str, annotation: Any, place: str) -> None:
    from pydantic import TypeAdapter, ValidationError  # slow to import

    try:
        TypeAdapter(annotation).validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        said = error.errors(include_url=False)[0]["msg"]
        raise CheckpointError(f"{place}: `{key}` is {str(value)[:80]}: {said}") from error
    check_sizes({key: value}, place=place)


def check_sizes(sizes: dict[str, Any], *, place: str) -> None:
    """Raises CheckpointError for a number that no model of any use has."""
    for key, value in sizes.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            largest = LARGEST.get(key, LARGEST_NUMBER)
            if not (0 if key in MAY_BE_ZERO else 1e-12) <= value <= largest:
                smallest = 0 if key in MAY_BE_ZERO or isinstance(value, float) else 1
                raise CheckpointError(
                    f"{place}: `{key}` is {value}, but allowed is {smallest} to {largest:,}"
                )
