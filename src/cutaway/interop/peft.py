"""LoRA adapters in peft's files: adapter_config.json and adapter_model.safetensors, both ways.

Names follow the Hugging Face class where the architecture has one. Llama: all seven projections.
GPT-2: attention and MLP; its one matrix for query, key and value is three of ours, so three
adapters are written as one with the ranks added up, and one is read as three that share their A.
Any other architecture keeps our own names, under which peft adapts our own module.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cutaway.durable import machine_errors, write_file
from cutaway.errors import CheckpointError
from cutaway.interop.huggingface.weights import GPT2, LLAMA
from cutaway.models.gpt import GPT
from cutaway.models.llama import Llama
from cutaway.nn.lora import LoRALinear, adapters, apply_lora
from cutaway.run_folder import hash_of_file
from cutaway.tensor_files import read_tensors, tensors_as_bytes

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
BASE = "base.json"
PREFIX = "base_model.model."
LARGEST_CONFIG = 2**20

REFUSED = (
    "use_dora",
    "lora_bias",
    "modules_to_save",
    "layer_replication",
    "trainable_token_indices",
)
"""Settings of peft that change the function in ways that we do not have."""


@dataclass(frozen=True, kw_only=True)
class Base:
    """The model that an adapter changes."""

    path: Path
    """Its run folder or checkpoint."""
    sha256: str | None
    """Hash of its weights; None where the adapter does not say (peft's own do not)."""


@dataclass(frozen=True, kw_only=True)
class _Part:
    """One adapter in the file: the modules of ours that it adapts, stacked by output."""

    ours: tuple[str, ...]
    theirs: str


def save_adapter(model: nn.Module, folder: Path, *, base: Path) -> None:
    """Writes the adapters of a model, so that peft and `open_model` read them.

    `base` is the checkpoint that the model was opened from; its hash is written, too.

    Raises:
        CheckpointError: there are no adapters, or weights that are not finite.
    """
    adapted = dict(adapters(model))
    if not adapted:
        raise CheckpointError("this model has no LoRA adapters to save; use apply_lora first")
    tensors: dict[str, Tensor] = {}
    sizes: dict[str, tuple[int, float]] = {}
    for part in _parts(model):
        if any(name in adapted for name in part.ours):
            a, b, alpha = _joined(model, part)
            tensors[f"{PREFIX}{part.theirs}.lora_A.weight"] = a
            tensors[f"{PREFIX}{part.theirs}.lora_B.weight"] = b
            sizes[part.theirs] = (len(a), alpha)
    dropout = max(adapter.dropout.p for adapter in adapted.values())
    config = _config(model, sizes, dropout=dropout, base=base)
    about = {"path": str(base.resolve()), "sha256": hash_of_weights(base)}
    with machine_errors(f"cannot make the folder {folder}"):
        folder.mkdir(parents=True, exist_ok=True)
    write_file(folder / WEIGHTS, tensors_as_bytes(tensors))
    write_file(folder / BASE, _json(about))
    write_file(folder / CONFIG, _json(config))  # last: it is what makes the folder an adapter


def load_adapter(model: nn.Module, folder: Path) -> list[str]:
    """Puts the adapters of a folder into a model without any; returns their places.

    Raises:
        CheckpointError: the adapter is damaged, of another model, or of a kind that we do not have.
    """
    config = _read_config(folder)
    tensors = read_tensors(folder / WEIGHTS)
    parts = {part.theirs: part for part in _parts(model)}
    names = {_module_of(name, folder) for name in tensors}
    for name in sorted(names):
        if name not in parts:
            raise CheckpointError(
                f"{folder}: adapts {name[:80]!r}, which this model does not have;\n"
                f"the adapter is of another model, or of a part that cannot be adapted here"
            )
        a, b = _pair(tensors, name, folder)
        _put(model, parts[name], a=a, b=b, alpha=_alpha(config, name, rank=len(a)), folder=folder)
    return [name for name, _ in adapters(model)]


def base_of(folder: Path) -> Base:
    """The base that an adapter names, and the hash of its weights where that is written.

    Raises:
        CheckpointError: the folder does not say.
    """
    if (folder / BASE).is_file():
        match _read(folder / BASE):
            case {"path": str(path), "sha256": str(sha256)}:
                return Base(path=_from(folder, path), sha256=sha256)
        raise CheckpointError(f"{folder / BASE}: not a path and a sha256")
    match _read(folder / CONFIG):
        case {"base_model_name_or_path": str(path)} if path:
            return Base(path=_from(folder, path), sha256=None)
    raise CheckpointError(
        f"{folder / CONFIG}: names no base model; write its folder as base_model_name_or_path"
    )


def hash_of_weights(base: Path) -> str:
    """SHA-256 of the file of weights of a checkpoint."""
    path = base / "model.safetensors"
    if not path.is_file():
        raise CheckpointError(f"{base}: has no {path.name}; give the checkpoint itself")
    return hash_of_file(path)


def _parts(model: nn.Module) -> list[_Part]:
    """Every linear map that can be adapted, under the name that peft's files give it."""
    theirs: dict[str, list[str]] = {}
    for name, module in model.named_modules():
        if isinstance(module, LoRALinear) or (
            isinstance(module, nn.Linear) and not name.endswith(".base")
        ):
            theirs.setdefault(_theirs(model, name), []).append(name)
    return [_Part(ours=tuple(ours), theirs=name) for name, ours in theirs.items()]


def _theirs(model: nn.Module, name: str) -> str:
    block = re.fullmatch(r"stack\.blocks\.(\d+)\.(.+)", name)
    if isinstance(model, Llama):
        if block and block[2] in LLAMA:
            return f"model.layers.{block[1]}.{LLAMA[block[2]]}"
        return {"unembedding": "lm_head"}.get(name, name)
    if isinstance(model, GPT) and model.config.norm_placement == "pre":
        if block and block[2] in GPT2:
            return f"transformer.h.{block[1]}.{GPT2[block[2]]}"
        return {"unembedding": "lm_head"}.get(name, name)
    return name


def _joined(model: nn.Module, part: _Part) -> tuple[Tensor, Tensor, float]:
    """A, B and alpha of one adapter that does what those of all the part's modules do.

    The As stand above each other and the Bs along a diagonal; alpha grows with the rank, so that
    the scale alpha / r stays. Adapters of different scales are brought to the first one's.
    """
    modules = [model.get_submodule(name) for name in part.ours]
    adapted = [module for module in modules if isinstance(module, LoRALinear)]
    if len(modules) == 1:
        return adapted[0].lora_a, adapted[0].lora_b, adapted[0].alpha
    scale = adapted[0].scale
    rank = sum(module.rank for module in adapted)
    columns: list[Tensor] = []
    start = 0
    for module in modules:
        rows = module.base.out_features if isinstance(module, LoRALinear) else module.out_features
        block = adapted[0].lora_b.new_zeros(int(rows), rank)  # type: ignore[arg-type]
        if isinstance(module, LoRALinear):
            ratio = module.scale / scale
            block[:, start : start + module.rank] = module.lora_b.detach() * ratio
            start += module.rank
        columns.append(block)
    return torch.cat([module.lora_a for module in adapted]), torch.cat(columns), scale * rank


def _put(
    model: nn.Module, part: _Part, *, a: Tensor, b: Tensor, alpha: float, folder: Path
) -> None:
    modules = [model.get_submodule(name) for name in part.ours]
    if not all(isinstance(module, nn.Linear) for module in modules):
        raise CheckpointError(f"{folder}: {part.theirs} has an adapter already; merge it first")
    rows = [int(module.out_features) for module in modules]  # type: ignore[arg-type]
    width = int(modules[0].in_features)  # type: ignore[arg-type]
    if a.dim() != 2 or tuple(a.shape)[1] != width or tuple(b.shape) != (sum(rows), len(a)):
        raise CheckpointError(
            f"{folder}: the adapter of {part.theirs} has shapes {tuple(a.shape)} and "
            f"{tuple(b.shape)}, but its matrix is {sum(rows)} x {width};\n"
            "the adapter is of a model of another size"
        )
    is_stacked = len(rows) > 1 and bool(b.any())
    for name, change in zip(part.ours, torch.split(b, rows), strict=True):
        # Of a stack each module takes what its own rows use, which may be nothing.
        used = change.any(dim=0) if is_stacked else torch.ones(len(a), dtype=torch.bool)
        if rank := int(used.sum()):
            apply_lora(model, targets=[name], rank=rank, alpha=alpha * rank / len(a))
            adapter = model.get_submodule(name)
            with torch.no_grad():
                adapter.lora_a.copy_(a[used])  # type: ignore[operator]
                adapter.lora_b.copy_(change[:, used])  # type: ignore[operator]


def _config(
    model: nn.Module, sizes: Mapping[str, tuple[int, float]], *, dropout: float, base: Path
) -> dict[str, Any]:
    """peft's config; what differs from the first module's rank and alpha goes into patterns."""
    rank, alpha = next(iter(sizes.values()))
    endings = {name.rpartition(".")[2] for name in sizes}
    is_everywhere = all(
        part.theirs in sizes or part.theirs.rpartition(".")[2] not in endings
        for part in _parts(model)
    )
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": str(base.resolve()),
        "r": rank,
        "lora_alpha": alpha,
        "lora_dropout": dropout,
        "target_modules": sorted(endings if is_everywhere else sizes),
        "rank_pattern": {name: size for name, (size, _) in sizes.items() if size != rank},
        "alpha_pattern": {name: scale for name, (_, scale) in sizes.items() if scale != alpha},
        "bias": "none",
        "fan_in_fan_out": any(".h." in name for name in sizes),
        "use_rslora": False,
        "init_lora_weights": True,
        "inference_mode": True,
    }


def _read_config(folder: Path) -> dict[str, Any]:
    config = _read(folder / CONFIG)
    kind = config.get("peft_type")
    if kind != "LORA":
        raise CheckpointError(f"{folder / CONFIG}: an adapter of type {kind!r}; allowed is LORA")
    for name in REFUSED:
        if config.get(name):
            raise CheckpointError(f"{folder / CONFIG}: uses {name}, which LoRA here does not have")
    if config.get("bias", "none") != "none":
        raise CheckpointError(f"{folder / CONFIG}: trains biases; allowed is bias: none")
    return config


def _alpha(config: Mapping[str, Any], name: str, *, rank: int) -> float:
    """alpha of one module, such that alpha / rank is peft's scale."""
    alpha = config.get("lora_alpha", 8)
    patterns = config.get("alpha_pattern") or {}
    # peft reads a pattern as a regular expression; from a file we take names alone.
    for pattern, value in patterns.items() if isinstance(patterns, dict) else ():
        if name == pattern or name.endswith(f".{pattern}"):
            alpha = value
    if not isinstance(alpha, int | float) or isinstance(alpha, bool) or not 0 < alpha < 1e9:
        raise CheckpointError(f"{CONFIG}: alpha is {str(alpha)[:80]}, but it is a number above 0")
    return float(alpha) * (rank**0.5 if config.get("use_rslora") else 1.0)


def _module_of(name: str, folder: Path) -> str:
    found = re.fullmatch(re.escape(PREFIX) + r"([A-Za-z0-9_.]+)\.lora_[AB]\.weight", name)
    if found is None:
        raise CheckpointError(f"{folder / WEIGHTS}: {name[:120]!r} is no part of a LoRA adapter")
    return found[1]


def _pair(tensors: Mapping[str, Tensor], name: str, folder: Path) -> tuple[Tensor, Tensor]:
    pair = [tensors.get(f"{PREFIX}{name}.lora_{side}.weight") for side in "AB"]
    if pair[0] is None or pair[1] is None:
        raise CheckpointError(f"{folder / WEIGHTS}: of {name[:120]} only one half is there")
    return pair[0], pair[1]


def _from(folder: Path, path: str) -> Path:
    """A path in an adapter's file: absolute, or seen from the adapter, or from here."""
    beside = folder / path
    return beside if beside.exists() else Path(path)


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_CONFIG + 1)
        found = json.loads(content.decode("utf-8")) if len(content) <= LARGEST_CONFIG else None
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: not JSON: {str(error)[:200]}") from error
    if not isinstance(found, dict):
        raise CheckpointError(f"{path}: not a table of settings")
    return found


def _json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()
