"""Opens any model: a run folder, a checkpoint, or a LoRA adapter on its base; the one door."""

import dataclasses
import json
import re
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, cast

import torch
from torch import nn

from cutaway import checkpoint
from cutaway.checkpoint import MANIFEST, Checkpoint
from cutaway.errors import CheckpointError, ConfigError, UsageError
from cutaway.interop import peft
from cutaway.models.catalog import CATALOG, build
from cutaway.models.decoder import Decoder
from cutaway.models.weights import load_weights, require_shapes
from cutaway.nn.lora import apply_lora, merge_lora
from cutaway.run_folder import RunFolder
from cutaway.tensor_files import check_tensor_file
from cutaway.tokenizer.base import FILE_NAME, Tokenizer
from cutaway.tokenizer.open import open_tokenizer

WEIGHTS = "model"
"""The stem of the file that holds a checkpoint's weights."""

DEVICE = re.compile(r"cpu|cuda(:[0-9]{1,3})?|mps")

LARGEST_NUMBER = 2**31
LARGEST = {"num_layers": 1024, "num_heads": 4096, "context_length": 2**18, "width": 2**18}
"""What a config may ask for; memory is taken only after the shapes were found in the file."""

MAY_BE_ZERO = {"pair_rows", "triple_rows", "spelled_bytes", "dropout"}


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a model came from."""

    path: Path
    """What was given."""
    checkpoint: Path
    """The checkpoint whose weights were read; of an adapter, its base's."""
    kind: Literal["run", "checkpoint", "adapter"]
    """What the path turned out to be."""
    step: int
    """Optimizer steps that the checkpoint has behind it."""
    stage: str
    """The verb that wrote the checkpoint: `pretrain`, `finetune`, ..."""
    architecture: str
    """The name in the catalog."""
    num_parameters: int
    """Weights, a shared one counted once."""
    passed_over: tuple[str, ...] = ()
    """Why newer checkpoints were not taken."""

    @property
    def can_chat(self) -> bool:
        """Whether the model has learned to answer rather than to go on."""
        return self.stage != "pretrain"

    def told(self) -> str:
        """The model in a line, for people."""
        size = f"{self.num_parameters:,} parameters"
        return f"{self.path}: {self.architecture}, {size}, {self.stage}, step {self.step:,}"


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A model that is ready to be used."""

    model: Decoder
    tokenizer: Tokenizer
    source: Source


def open_model(path: Path, *, device: str = "cpu") -> Opened:
    """The model of a run (its newest good checkpoint), of a checkpoint, or of an adapter.

    Raises:
        CheckpointError: there is none, it is damaged, or it is of a kind that cannot be opened.
        UsageError: torch does not know the device.
    """
    if (path / peft.CONFIG).is_file():
        opened = _open_adapter(path)
    else:
        found, kind, passed_over = _find(path)
        opened = _open_checkpoint(found, path=path, kind=kind, passed_over=passed_over)
    allowed = "allowed are cpu, cuda, cuda:1, mps, as far as the machine has them"
    if not DEVICE.fullmatch(device):
        raise UsageError(f"device={device[:80]} is not known;\n{allowed}")
    try:
        cast(nn.Module, opened.model).to(device).eval()
    except (RuntimeError, AssertionError) as error:
        raise UsageError(
            f"device={device}: torch cannot use it here: {str(error).splitlines()[0][:200]}\n"
            f"{allowed}"
        ) from error
    return opened


def model_from(settings: dict[str, Any], *, place: str) -> nn.Module:
    """The model that a config.json describes, each field of it checked before anything is made.

    A table `lora` (targets, rank, alpha) says that the weights are a frozen model with adapters.

    Raises:
        CheckpointError: the architecture or a field is unknown or missing, or a value is of the
            wrong kind, out of range, or does not fit another.
    """
    sizes = {key: value for key, value in settings.items() if key != "lora"}
    _check_settings(sizes, place=place)
    try:
        model = build(sizes)
        if "lora" in settings:
            _adapt(model, settings["lora"])
    except (ConfigError, ValueError) as error:
        raise CheckpointError(f"{place}: {error}") from error
    return model


def _find(path: Path) -> tuple[Checkpoint, Literal["run", "checkpoint"], tuple[str, ...]]:
    """The checkpoint that a path means, and why newer ones were passed over."""
    if not path.exists():
        raise CheckpointError(_not_there(path))
    if (path / MANIFEST).is_file():
        return checkpoint.load(path), "checkpoint", ()
    folder = path if path.name == "checkpoints" else RunFolder(path=path).checkpoints
    if not folder.is_dir():
        raise CheckpointError(_not_a_model(path))
    newest = checkpoint.newest(folder)
    if newest.checkpoint is None:
        reasons = "\n".join(newest.passed_over[:3]) or "the run has not saved one yet"
        raise CheckpointError(f"{path}: there is no good checkpoint:\n{reasons}")
    return newest.checkpoint, "run", newest.passed_over


def _open_checkpoint(
    found: Checkpoint,
    *,
    path: Path,
    kind: Literal["run", "checkpoint"],
    passed_over: tuple[str, ...] = (),
) -> Opened:
    settings = found.json("config.json")
    place = str(found.path / "config.json")
    if not isinstance(settings, dict):
        raise CheckpointError(f"{place}: not a table of settings")
    with torch.device("meta"):  # shapes without memory, to be compared with the file's first
        shapes = model_from(settings, place=place)
    weights = found.path / f"{WEIGHTS}.safetensors"
    if weights.name not in found.files:
        raise CheckpointError(f"{found.path}: the manifest names no {weights.name}")
    require_shapes(shapes, check_tensor_file(weights))
    model = model_from(settings, place=place)
    load_weights(model, found.tensors(WEIGHTS))
    merge_lora(model)
    tokenizer = _tokenizer(found, vocab_size=settings["vocab_size"])
    state = found.json("state.json") if "state.json" in found.files else {}
    stage = state.get("stage") if isinstance(state, dict) else None
    source = Source(
        path=path,
        checkpoint=found.path,
        kind=kind,
        step=found.step,
        stage=stage if isinstance(stage, str) else "pretrain",
        architecture=settings["architecture"],
        num_parameters=sum(weight.numel() for weight in model.parameters()),
        passed_over=passed_over,
    )
    return Opened(model=cast(Decoder, model), tokenizer=tokenizer, source=source)


def _open_adapter(path: Path) -> Opened:
    """The base that the adapter names, with the adapter's change added to its matrices."""
    base = peft.base_of(path)
    found, kind, passed_over = _find(base.path)
    if base.sha256 is not None and peft.hash_of_weights(found.path) != base.sha256:
        raise CheckpointError(
            f"{path}: the adapter was trained on other weights than {found.path} has;\n"
            f"give it its own base: write the base's folder into {peft.BASE}"
        )
    opened = _open_checkpoint(found, path=base.path, kind=kind, passed_over=passed_over)
    model = cast(nn.Module, opened.model)
    peft.load_adapter(model, path)
    merge_lora(model)
    source = dataclasses.replace(opened.source, path=path, kind="adapter", stage="finetune")
    return dataclasses.replace(opened, source=source)


def _adapt(model: nn.Module, lora: object) -> None:
    match lora:
        case {"targets": [*targets], "rank": int(rank), "alpha": int() | float() as alpha, **rest}:
            if all(isinstance(name, str) for name in targets) and not rest.keys() - {"dropout"}:
                apply_lora(model, targets=targets, rank=rank, alpha=float(alpha))
                return
    raise ValueError("`lora` is not a table of targets (a list of names), rank and alpha")


def _tokenizer(found: Checkpoint, *, vocab_size: int) -> Tokenizer:
    if FILE_NAME not in found.files:
        raise CheckpointError(
            f"{found.path}: the manifest names no {FILE_NAME}, and a model without its tokenizer "
            "reads other words than it learned"
        )
    tokenizer = open_tokenizer(found.path / FILE_NAME)
    if tokenizer.vocab_size > vocab_size:
        raise CheckpointError(
            f"{found.path}: the tokenizer has {tokenizer.vocab_size:,} tokens and the model knows "
            f"{vocab_size:,};\nthe tokenizer is of another model: put this model's own there"
        )
    return tokenizer


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
    if isinstance(value, int | float) and not isinstance(value, bool):
        largest = LARGEST.get(key, LARGEST_NUMBER)
        if not (0 if key in MAY_BE_ZERO else 1e-12) <= value <= largest:
            smallest = 0 if key in MAY_BE_ZERO or isinstance(value, float) else 1
            raise CheckpointError(
                f"{place}: `{key}` is {value}, but allowed is {smallest} to {largest:,}"
            )


def _not_there(path: Path) -> str:
    folder = path.parent
    beside = (
        sorted(each.name for each in folder.iterdir() if each.is_dir()) if folder.is_dir() else []
    )
    near = get_close_matches(path.name, beside, n=1)
    advice = f"; did you mean {folder / near[0]}?" if near else ""
    return (
        f"there is no model at {path}{advice}\n"
        "give a run folder such as runs/demo, one of its checkpoints, or an adapter"
    )


def _not_a_model(path: Path) -> str:
    if path.is_file():
        return f"{path}: a file, not a model;\ngive the run folder or the checkpoint it is part of"
    if (path / "config.json").is_file():
        return (
            f"{path}: has a config.json, but no {MANIFEST}, so it is none of our checkpoints;\n"
            "Hugging Face folders cannot be opened by this version"
        )
    return (
        f"{path}: neither a run (it has no checkpoints/) nor a checkpoint (it has no {MANIFEST});\n"
        "`cutaway pretrain run=PATH` makes a run"
    )
