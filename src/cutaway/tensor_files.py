"""Tensor files: safetensors alone, the header checked before a tensor is mapped into memory.

The one door through which weights enter and leave. A file is known by its content, never by its
name: a pickle that is called `.safetensors` is refused, and no other kind of file is ever opened.
"""

import json
import math
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from cutaway.errors import CheckpointError

SUFFIX = ".safetensors"

LARGEST_HEADER = 2**24
"""Bytes; room for a hundred thousand tensors."""

MOST_DIMENSIONS = 16

ELEMENT_SIZES: Mapping[str, int] = {
    "F64": 8,
    "F32": 4,
    "F16": 2,
    "BF16": 2,
    "F8_E4M3": 1,
    "F8_E5M2": 1,
    "C64": 8,
    "I64": 8,
    "I32": 4,
    "I16": 2,
    "I8": 1,
    "U64": 8,
    "U32": 4,
    "U16": 2,
    "U8": 1,
    "BOOL": 1,
}
"""Bytes of one element, by the name that safetensors gives to the type."""

OTHER_FORMATS = {
    b"PK\x03\x04": "a zip archive, as torch.save writes it",
    b"\x80": "a pickle",
    b"GGUF": "a GGUF file",
    b"\x89HDF": "an HDF5 file",
}


def tensors_as_bytes(tensors: Mapping[str, Tensor]) -> bytes:
    """The content of a safetensors file; equal tensors give equal bytes.

    Raises:
        CheckpointError: a tensor holds a number that is not finite.
    """
    for name, tensor in tensors.items():
        refuse_non_finite(tensor, name=name)
    return safetensors.torch.save(
        {name: _owned(tensor) for name, tensor in tensors.items()}, metadata={"format": "pt"}
    )


def refuse_non_finite(tensor: Tensor, *, name: str) -> None:
    """Raises CheckpointError when a number in the tensor is not finite."""
    if tensor.is_floating_point() or tensor.is_complex():
        wide = tensor.float() if tensor.itemsize == 1 else tensor
        broken = int((~torch.isfinite(wide.detach())).sum())
        if broken:
            raise CheckpointError(
                f"tensor `{name}` holds {broken:,} of {tensor.numel():,} numbers that are not "
                "finite, so nothing was written;\nthe last checkpoint is still good: go on from "
                "it with a lower learning rate"
            )


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, its header checked first.

    Raises:
        CheckpointError: the file is missing, of another format, or damaged.
    """
    check_tensor_file(path)
    try:
        return safetensors.torch.load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise CheckpointError(f"{path}: cannot be read: {error}") from error


def check_tensor_file(path: Path) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor in a file, read from its header alone.

    Raises:
        CheckpointError: anything in the header that does not fit the file to the byte.
    """
    header, data_size = _header(path)
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict):
        raise _damaged(path, "its metadata is not a table")
    spans = sorted(_span(path, name, entry) for name, entry in header.items())
    end = 0
    for begin, following, name in spans:
        if begin != end:
            raise _damaged(path, f"tensor `{name[:80]}` overlaps another, or leaves a gap")
        end = following
    if end != data_size:
        raise _damaged(path, f"the tensors take {end:,} bytes and the file holds {data_size:,}")
    return {name: tuple(entry["shape"]) for name, entry in header.items()}


def _header(path: Path) -> tuple[dict[str, Any], int]:
    """The header's table, and the size of the data behind it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise CheckpointError(f"{path}: not a regular file")
            start = file.read(8)
            length = int.from_bytes(start, "little")
            if len(start) < 8 or not 2 <= length <= min(LARGEST_HEADER, status.st_size - 8):
                raise _foreign(path, start)
            text = file.read(length)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be opened: {error.strerror}") from error
    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError) as error:
        raise _foreign(path, start) from error
    if not isinstance(header, dict):
        raise _damaged(path, "its header is not a table")
    return header, status.st_size - 8 - length


def _span(path: Path, name: str, entry: Any) -> tuple[int, int, str]:
    """Where a tensor begins and ends; its type, shape and offsets must agree."""
    match entry:
        case {"dtype": str(dtype), "shape": list(shape), "data_offsets": [int(begin), int(end)]}:
            sizes_fit = len(shape) <= MOST_DIMENSIONS and all(
                type(size) is int and 0 <= size < 2**48 for size in shape
            )
            if dtype in ELEMENT_SIZES and sizes_fit and len(entry) == 3:
                size = math.prod(shape) * ELEMENT_SIZES[dtype]
                if begin >= 0 and end - begin == size:
                    return begin, end, name
    raise _damaged(path, f"type, shape and place of tensor `{name[:80]}` do not agree")


def _without_repeats(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"{name[:80]} stands twice")
        found[name] = value
    return found


def _foreign(path: Path, start: bytes) -> CheckpointError:
    for magic, what in OTHER_FORMATS.items():
        if start.startswith(magic):
            return CheckpointError(
                f"{path}: this is {what}, not a safetensors file, and is not opened:\n"
                "such a file can run code or needs another reader; ask for it as .safetensors"
            )
    return _damaged(path, "it does not begin with a safetensors header")


def _damaged(path: Path, why: str) -> CheckpointError:
    return CheckpointError(f"{path}: not a whole safetensors file: {why}")


def _owned(tensor: Tensor) -> Tensor:
    """The tensor on the CPU, alone in its memory: safetensors writes no part of another one."""
    tensor = tensor.detach().cpu().contiguous()
    return tensor if tensor.untyped_storage().nbytes() == tensor.nbytes else tensor.clone()
