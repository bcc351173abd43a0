"""A folder as `transformers` writes it: opened without running anything of it, and written."""

import json
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cutaway.durable import is_safe_name, machine_errors, need_space, write_file
from cutaway.errors import CheckpointError, UsageError
from cutaway.interop.building import model_from
from cutaway.interop.huggingface import weights
from cutaway.interop.huggingface.configs import config_for, settings_from
from cutaway.interop.huggingface.customs import read_table, with_customs
from cutaway.models.catalog import kind_of
from cutaway.tensor_files import SUFFIX, check_tensor_file, read_tensors, tensors_as_bytes
from cutaway.tokenizer import wordpiece
from cutaway.tokenizer.base import FILE_NAME, PADDING, Tokenizer
from cutaway.tokenizer.exported import huggingface_files
from cutaway.tokenizer.open import open_tokenizer

GENERATION = "generation_config.json"
CONFIG, WHOLE, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"

LARGEST_TEXT = 2**25
"""Bytes of a file that is read whole."""

LARGEST_TOKENIZER = 2**28

MOST_FILES = 1000
"""Files that the weights may be spread over."""

SHARD = 4 * 2**30
"""Bytes of one file of weights that is written."""

COPIES = (
    *("lm_head.weight", "cls.predictions.decoder.weight"),
    *("model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight"),
)
"""Tensors that may stand there though they are the embedding."""

PICKLED = ("pytorch_model.bin", "pytorch_model.bin.index.json", "consolidated.00.pth")


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a folder holds."""

    model: nn.Module
    tokenizer: Tokenizer
    settings: dict[str, Any]
    """Those of the catalog."""


def is_huggingface(path: Path) -> bool:
    """Whether a folder has a config of theirs."""
    place = path / CONFIG
    if not place.is_file():
        return False
    found = read_table(lambda name: read_file(path, name), CONFIG, place=str(path))
    return "architecture" not in found and "model_type" in found


def open_folder(path: Path) -> Found:
    """The model and the tokenizer of a folder; memory is taken only after all shapes were compared.

    Raises:
        CheckpointError: of a kind that cannot be opened, damaged, or meant to run code.
    """

    place = str(path / CONFIG)
    settings = settings_at(path)
    with torch.device("meta"):
        shapes = model_from(settings, place=place)
    files = weight_files(path)
    require_tensors(shapes, files)
    model = model_from(settings, place=place)
    fill(model, files)
    return Found(model=model, tokenizer=tokenizer_of(path, model), settings=settings)


def settings_at(path: Path) -> dict[str, Any]:
    """The settings of the catalog for a folder's config.

    Raises:
        CheckpointError: of a kind that cannot be opened, or meant to run code.
    """
    found = read_table(lambda name: read_file(path, name), CONFIG, place=str(path))
    return settings_from(found, place=str(path / CONFIG))


def write_folder(
    path: Path, *, model: nn.Module, tokenizer: Tokenizer, dtype: torch.dtype
) -> list[str]:
    """Writes a folder that `from_pretrained` opens; returns the names of its files.

    Raises:
        UsageError: no class of `transformers` computes what the model does.
    """
    config = config_for(model)
    context_length = int(model.config.context_length)  # type: ignore[union-attr, arg-type]
    ids = {"bos_token_id": tokenizer.customs.begin_id, "eos_token_id": _ends(tokenizer)}
    files = {
        GENERATION: _json(ids),
        FILE_NAME: tokenizer.to_json().encode(),
        **huggingface_files(tokenizer, context_length=context_length),
    }
    match kind_of(model):
        case "encoder" | "classifier":
            files.pop(GENERATION)
            ids = {"pad_token_id": tokenizer.special.get(wordpiece.PADDING)}
        case "encoder-decoder":
            ids = _ids_of_pairs(tokenizer)
            files[GENERATION] = _json(ids)
    files[CONFIG] = _json(config | ids | {"dtype": str(dtype).removeprefix("torch.")})
    with machine_errors(f"cannot make the folder {path}"):
        path.mkdir(parents=True, exist_ok=True)
        if any(path.iterdir()):
            raise UsageError(f"{path}: there is something already; give an empty folder with out=")
    count = sum(parameter.numel() for parameter in model.parameters())
    need_space(path, count * dtype.itemsize + sum(map(len, files.values())))
    names = _write_weights(path, model, dtype=dtype)
    for name, content in files.items():
        write_file(path / name, content)
    return [*names, *files]


def read_file(folder: Path, name: str) -> bytes | None:
    """The content of a small file; None where there is none.

    Raises:
        CheckpointError: a link out of the folder, no regular file, or larger than any of its kind.
    """
    place = regular(folder, name)
    if place is None:
        return None
    with machine_errors(f"cannot read {place}"):
        descriptor = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise CheckpointError(f"{place}: not a regular file")
            most = LARGEST_TOKENIZER if name == FILE_NAME else LARGEST_TEXT
            content = file.read(most + 1)
    if len(content) > most:
        raise CheckpointError(f"{place}: larger than {most:,} bytes")
    return content


def regular(folder: Path, name: str) -> Path | None:
    """Where a file really lies; a link is followed only within a cache of the Hugging Face hub."""
    place = folder / name
    if not os.path.lexists(place):
        return None
    if not place.is_symlink():
        return place
    target = place.resolve()
    blobs = folder.resolve().parent.parent / "blobs"
    if folder.resolve().parent.name == "snapshots" and target.parent == blobs:
        return target
    raise CheckpointError(
        f"{place}: a link, which may lead anywhere;\ncopy the files themselves: cp -rL FROM TO"
    )


def weight_files(path: Path) -> list[Path]:
    """The files of the weights, all of them whole as far as their headers tell."""
    index = read_table(lambda name: read_file(path, name), INDEX, place=str(path))
    named = [WHOLE]
    if index:
        match index:
            case {"weight_map": dict(places)} if all(
                isinstance(name, str) and is_safe_name(name) and name.endswith(SUFFIX)
                for name in places.values()
            ):
                named = sorted(set(places.values()))
            case _:
                raise CheckpointError(f"{path / INDEX}: names what is no file of this folder")
    if len(named) > MOST_FILES:
        raise CheckpointError(f"{path / INDEX}: names {len(named):,} files")
    found = []
    for name in named:
        place = regular(path, name)
        if place is None:
            if any((path / pickled).exists() for pickled in PICKLED):
                raise CheckpointError(
                    f"{path}: its weights are a pickle, which can run code, and is not opened;\n"
                    "ask for them as .safetensors, or convert them where you trust them"
                )
            raise CheckpointError(f"{path}: has no {name}")
        found.append(place)
    return found


def _given(files: list[Path], model: nn.Module) -> dict[str, tuple[int, ...]]:
    """The shapes of all tensors in the files, by their full names."""
    known = weights.shapes(model)
    found: dict[str, tuple[int, ...]] = {}
    for file in files:
        for name, shape in check_tensor_file(file).items():
            full = weights.their_name(name, known=known)
            if full is not None:
                if full in found:
                    raise CheckpointError(f"{file}: tensor `{name[:80]}` stands there twice")
                found[full] = shape
    return found


def require_tensors(model: nn.Module, files: list[Path]) -> None:
    """Compares shapes; where the unembedding is the embedding, a second copy may stand there.

    Raises:
        CheckpointError: the first difference.
    """
    given, known = _given(files, model), weights.shapes(model)
    given = {name: shape for name, shape in given.items() if not _is_copy(name, known)}
    if given != known:
        own = {place.name: name for name, place in weights.places(model).items()}
        told = sorted(given.keys() ^ known.keys()) or [
            name for name in known if given[name] != known[name]
        ]
        name = told[0]
        raise CheckpointError(
            f"tensor `{name[:120]}`: the file has {given.get(name, 'no such tensor')}, "
            f"and config.json asks for {known.get(name, 'none')}"
            + (f"\n(it is our `{own[name]}`)" if name in own else "")
        )


def _is_copy(name: str, known: dict[str, tuple[int, ...]]) -> bool:
    return name in COPIES and name not in known


@torch.no_grad()
def fill(model: nn.Module, files: list[Path]) -> None:
    """Copies the weights in, a file at a time.

    Raises:
        CheckpointError: a tensor holds something else than finite numbers.
    """
    own = dict(model.named_parameters())
    wanted: dict[str, list[str]] = {}
    places = weights.places(model)
    for name, place in places.items():
        wanted.setdefault(place.name, []).append(name)
    copies: list[Tensor] = []
    for file in files:
        for name, tensor in read_tensors(file).items():
            full = weights.their_name(name, known=wanted)
            if full is None:
                continue
            if not tensor.is_floating_point():
                raise CheckpointError(
                    f"{file}: `{name[:80]}` holds {tensor.dtype}, no real numbers"
                )
            if not bool(torch.isfinite(tensor.float()).all()):
                raise CheckpointError(f"{file}: `{name[:80]}` holds numbers that are not finite")
            if full not in wanted:
                copies.append(tensor)
            for each in wanted.get(full, ()):
                own[each].copy_(places[each].taken(tensor))
    for copy in copies:
        if not torch.equal(places["embedding.weight"].taken(copy).float(), own["embedding.weight"]):
            raise CheckpointError(
                "config.json says that the unembedding is the embedding (tie_word_embeddings), "
                "and lm_head.weight is another;\nset it to false if the file is right"
            )


def tokenizer_of(path: Path, model: nn.Module) -> Tokenizer:
    """The tokenizer of a folder, with the customs of its model."""
    place = regular(path, FILE_NAME)
    if place is None:
        for pair in ("vocab.json", "merges.txt"):
            regular(path, pair)  # links are refused
        tokenizer = open_tokenizer(path)
    else:
        tokenizer = open_tokenizer(place)
    known = int(model.config.vocab_size)  # type: ignore[union-attr, arg-type]
    if tokenizer.vocab_size > known:
        raise CheckpointError(
            f"{path}: the tokenizer has {tokenizer.vocab_size:,} tokens and the model knows "
            f"{known:,};\nthe tokenizer is of another model: put this model's own there"
        )
    return with_customs(tokenizer, read=lambda name: read_file(path, name), place=str(path))


def _write_weights(path: Path, model: nn.Module, *, dtype: torch.dtype) -> list[str]:
    """One file, or several with an index where one would be too large."""
    shards = list(_shards(model, dtype=dtype))
    if len(shards) == 1:
        write_file(path / WHOLE, tensors_as_bytes(shards[0]))
        return [WHOLE]
    names: list[str] = []
    weight_map: dict[str, str] = {}
    total = 0
    for number, shard in enumerate(shards, start=1):
        name = f"model-{number:05d}-of-{len(shards):05d}{SUFFIX}"
        write_file(path / name, tensors_as_bytes(shard))
        names.append(name)
        weight_map |= dict.fromkeys(shard, name)
        total += sum(tensor.nbytes for tensor in shard.values())
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    write_file(path / INDEX, _json(index))
    return [*names, INDEX]


def _shards(model: nn.Module, *, dtype: torch.dtype) -> Iterator[dict[str, Tensor]]:
    shard: dict[str, Tensor] = {}
    size = 0
    for name, tensor in weights.exported(model, dtype=dtype):
        if shard and size + tensor.nbytes > SHARD:
            yield shard
            shard, size = {}, 0
        shard[name] = tensor
        size += tensor.nbytes
    yield shard


def _ids_of_pairs(tokenizer: Tokenizer) -> dict[str, Any]:
    """One token ends a source, begins a target and ends it."""
    end = tokenizer.begin_id
    return {
        "bos_token_id": None,
        "decoder_start_token_id": end,
        "eos_token_id": end,
        "forced_eos_token_id": None,
        "pad_token_id": tokenizer.special.get(PADDING, end),
    }


def _ends(tokenizer: Tokenizer) -> int | list[int] | None:
    ids = sorted(tokenizer.customs.stop_ids)
    return ids[0] if len(ids) == 1 else (ids or None)


def _json(content: dict[str, Any]) -> bytes:
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()
