"""Checkpoints: safetensors, JSON and a manifest of hashes, there as a whole or not at all.

A checkpoint is a folder `step-00001234`. It is made in a temporary folder, each file synced, the
manifest last, and renamed. Of a checkpoint nothing is read that the manifest does not name with
its size and SHA-256; no file of it is a pickle.
"""

import fcntl
import hashlib
import json
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from torch import Tensor

from cutaway.durable import (
    create_file,
    is_safe_name,
    machine_errors,
    need_space,
    sync_folder,
    write_file,
)
from cutaway.errors import CheckpointError
from cutaway.tensor_files import SUFFIX, read_tensors, refuse_non_finite, tensors_as_bytes

MANIFEST = "MANIFEST.json"
PINS = "pins.json"
FORMAT = 1
STEP = re.compile(r"step-([0-9]{8,18})")
UNFINISHED = re.compile(r"\.tmp-[0-9]{1,10}-[0-9a-f]{16}")
REPLACED = re.compile(r"\.replaced-(step-[0-9]{8,18})-[0-9a-f]{16}")
HASH = re.compile(r"[0-9a-f]{64}")

MOST_FILES = 10_000
LARGEST_MANIFEST = 2**22
"""Bytes; room for as many files as are allowed."""

LARGEST_TEXT = 2**28
"""Bytes of a file that is read whole, such as a tokenizer."""

BLOCK = 4096
"""Bytes in which file systems give space away."""

CHUNK = 2**20
"""Bytes that are hashed at once."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A checkpoint that was read once, every file found with the manifest's size and hash."""

    path: Path
    step: int
    files: tuple[str, ...]

    def tensors(self, stem: str) -> dict[str, Tensor]:
        """The tensors of `STEM.safetensors`, on the CPU."""
        return read_tensors(self._known(stem + SUFFIX))

    def json(self, name: str) -> Any:
        """The content of a JSON file."""
        return _json(self.bytes(name), self.path / name)

    def bytes(self, name: str) -> bytes:
        """The content of a file that is small enough to be read whole."""
        path = self._known(name)
        with _opened(path) as file:
            content = file.read(LARGEST_TEXT + 1)
        if len(content) > LARGEST_TEXT:
            raise CheckpointError(f"{path}: larger than {LARGEST_TEXT:,} bytes")
        return content

    def _known(self, name: str) -> Path:
        if name not in self.files:
            raise CheckpointError(
                f"{self.path}: has no {name[:80]}; it holds {', '.join(self.files)[:300]}"
            )
        return self.path / name


@dataclass(frozen=True, kw_only=True)
class Newest:
    """The newest good checkpoint of a folder, and why newer ones were passed over."""

    checkpoint: Checkpoint | None
    passed_over: tuple[str, ...]


def save(
    checkpoints: Path,
    *,
    step: int,
    tensors: Mapping[str, Mapping[str, Tensor]],
    files: Mapping[str, bytes],
    keep: int | None = None,
) -> Path:
    """Writes the checkpoint of a step and returns its folder; a step saved before is replaced.

    Args:
        checkpoints: the folder of all checkpoints; made where it is missing.
        step: optimizer steps done, from 0.
        tensors: for each file stem, the tensors of `STEM.safetensors`.
        files: the other files by name.
        keep: how many of the newest stay, this one included; older ones are deleted only after
            this one was read back and found good, pinned ones never. None: all stay.

    Raises:
        CheckpointError: a tensor that is not finite, or a name that no file may have.
        ResourceError: the disk is full, read-only or faulty. What was saved before is untouched.
    """
    if step < 0 or (keep is not None and keep < 1):
        raise ValueError(f"step is 0 or more and keep is 1 or more; given {step} and {keep}")
    _check_names([stem + SUFFIX for stem in tensors] + list(files))
    for stem, named in tensors.items():
        for name, tensor in named.items():
            refuse_non_finite(tensor, name=f"{stem}/{name}")
    with machine_errors(f"cannot save a checkpoint in {checkpoints}"):
        checkpoints.mkdir(parents=True, exist_ok=True)
        sweep(checkpoints)
        need_space(checkpoints, _size(tensors, files))
        with _unfinished(checkpoints) as folder:
            _fill(folder, step=step, tensors=tensors, files=files)
            final = _put_in_place(folder, checkpoints / f"step-{step:08d}")
        if keep is not None:
            load(final)
            _retire(checkpoints, newest_step=step, keep=keep)
    return final


def load(path: Path) -> Checkpoint:
    """Opens one checkpoint, after every file was read and found as the manifest says.

    Raises:
        CheckpointError: the first difference.
    """
    if path.is_symlink() or not path.is_dir():
        raise CheckpointError(f"{path}: not a folder, so not a checkpoint")
    step, records = _manifest(path)
    found = STEP.fullmatch(path.name)
    if found and int(found[1]) != step:
        raise CheckpointError(f"{path}: the manifest belongs to step {step}")
    for name, (size, digest) in records.items():
        with _opened(path / name) as file:
            actual = os.fstat(file.fileno()).st_size
            if actual != size:
                raise CheckpointError(f"{path / name}: {actual:,} bytes instead of {size:,}")
            hashed = hashlib.sha256()
            while chunk := file.read(CHUNK):
                hashed.update(chunk)
        if hashed.hexdigest() != digest:
            raise CheckpointError(f"{path / name}: the content is not what was saved (SHA-256)")
    return Checkpoint(path=path, step=step, files=tuple(records))


def newest(checkpoints: Path) -> Newest:
    """The newest checkpoint that is whole; each newer one that is not is named with the reason."""
    passed_over: list[str] = []
    for _, path in sorted(_steps(checkpoints), reverse=True):
        try:
            return Newest(checkpoint=load(path), passed_over=tuple(passed_over))
        except CheckpointError as error:
            passed_over.append(str(error))
    return Newest(checkpoint=None, passed_over=tuple(passed_over))


def pin(checkpoint: Path, *, name: str) -> None:
    """Keeps a checkpoint from being deleted under a name such as `best`, which moves to it."""
    if not STEP.fullmatch(checkpoint.name):
        raise ValueError(f"{checkpoint} is not the folder of a checkpoint")
    pins = pinned(checkpoint.parent) | {name: checkpoint}
    content = {pin: path.name for pin, path in sorted(pins.items())}
    write_file(checkpoint.parent / PINS, json.dumps(content, indent=1).encode())


def pinned(checkpoints: Path) -> dict[str, Path]:
    """The checkpoints that are never deleted, by the name under which they are kept."""
    path = checkpoints / PINS
    if not path.exists():
        return {}
    with _opened(path) as file:
        pins = _json(file.read(LARGEST_MANIFEST), path)
    match pins:
        case dict() if all(isinstance(at, str) and STEP.fullmatch(at) for at in pins.values()):
            return {name: checkpoints / at for name, at in pins.items()}
    raise CheckpointError(f"{path}: damaged; delete it, and pin the best checkpoint again")


def sweep(checkpoints: Path) -> tuple[str, ...]:
    """Removes what a killed process left unfinished, and says what; call it before training.

    A step that was being replaced comes back under its own name.
    """
    removed: list[str] = []
    for path in sorted(checkpoints.iterdir()) if checkpoints.is_dir() else ():
        if UNFINISHED.fullmatch(path.name) and _is_abandoned(path):
            _remove(path)
            removed.append(path.name)
        elif replaced := REPLACED.fullmatch(path.name):
            if os.path.lexists(checkpoints / replaced[1]):
                _remove(path)
            else:
                path.rename(checkpoints / replaced[1])
            removed.append(path.name)
    return tuple(removed)


def _check_names(names: list[str]) -> None:
    for name in names:
        if not is_safe_name(name) or name == MANIFEST or names.count(name) > 1:
            raise CheckpointError(
                f"a checkpoint cannot hold a file called {name[:80]!r}: names are unique, of "
                f"letters, digits, `_`, `.` and `-`, at most 64, and {MANIFEST} is taken"
            )


def _size(tensors: Mapping[str, Mapping[str, Tensor]], files: Mapping[str, bytes]) -> int:
    """Bytes that a checkpoint takes on the disk, headers and manifest estimated from above."""
    sizes = [len(content) for content in files.values()]
    for named in tensors.values():
        sizes.append(sum(tensor.nbytes + 2 * len(name) + 256 for name, tensor in named.items()))
    manifest = 256 * (len(sizes) + 1)
    return sum(-(-size // BLOCK) * BLOCK for size in [*sizes, manifest, BLOCK])


@contextmanager
def _unfinished(checkpoints: Path) -> Iterator[Path]:
    """A temporary folder that no other process takes for abandoned while this one lives."""
    folder = checkpoints / f".tmp-{os.getpid()}-{secrets.token_hex(8)}"
    folder.mkdir()
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _try_lock(descriptor)
        yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    finally:
        os.close(descriptor)


def _fill(
    folder: Path,
    *,
    step: int,
    tensors: Mapping[str, Mapping[str, Tensor]],
    files: Mapping[str, bytes],
) -> None:
    records: dict[str, object] = {}
    for name in [*(stem + SUFFIX for stem in tensors), *files]:
        # One file's bytes at a time: a sharded model never stands in memory twice.
        content = files[name] if name in files else tensors_as_bytes(tensors[name[: -len(SUFFIX)]])
        create_file(folder / name, content)
        records[name] = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    manifest = {"format": FORMAT, "step": step, "files": records}
    create_file(folder / MANIFEST, _canonical(manifest))
    sync_folder(folder)


def _put_in_place(folder: Path, final: Path) -> Path:
    """Renames the finished folder; an older one of the step stands aside until that is done."""
    aside = final.with_name(f".replaced-{final.name}-{secrets.token_hex(8)}")
    is_replaced = os.path.lexists(final)
    if is_replaced:
        final.rename(aside)
    try:
        folder.rename(final)
    except OSError:
        if is_replaced:
            aside.rename(final)
        raise
    sync_folder(final.parent)
    if is_replaced:
        _remove(aside)
    return final


def _retire(checkpoints: Path, *, newest_step: int, keep: int) -> None:
    """Deletes the oldest; a later step is a damaged one that the run has yet to pass again."""
    safe = set(pinned(checkpoints).values())
    older = sorted((step, path) for step, path in _steps(checkpoints) if step < newest_step)
    for _, path in older[: max(0, len(older) - (keep - 1))]:
        if path not in safe:
            # Renamed first: a half-deleted folder is never taken for a damaged checkpoint.
            doomed = checkpoints / f".tmp-{os.getpid()}-{secrets.token_hex(8)}"
            path.rename(doomed)
            _remove(doomed)


def _steps(checkpoints: Path) -> list[tuple[int, Path]]:
    if not checkpoints.is_dir():
        return []
    found = ((STEP.fullmatch(path.name), path) for path in checkpoints.iterdir())
    return [(int(match[1]), path) for match, path in found if match]


def _manifest(path: Path) -> tuple[int, dict[str, tuple[int, str]]]:
    """The step, and the size and hash of each file, of a manifest that is exactly as written."""
    place = path / MANIFEST
    with _opened(place) as file:
        content = file.read(LARGEST_MANIFEST + 1)
    manifest = _json(content, place)
    match manifest:
        case {"format": int(written), "step": int(step), "files": dict(files)} if (
            written == FORMAT and len(files) <= MOST_FILES and _canonical(manifest) == content
        ):
            records = {name: _record(name, entry, place) for name, entry in files.items()}
            return step, records
    raise CheckpointError(f"{place}: not a manifest of format {FORMAT}, or changed since")


def _record(name: str, entry: object, place: Path) -> tuple[int, str]:
    match entry:
        case {"size": int(size), "sha256": str(digest)} if (
            is_safe_name(name) and size >= 0 and HASH.fullmatch(digest)
        ):
            return size, digest
    raise CheckpointError(f"{place}: the entry of {name[:80]!r} is not a size and a hash")


def _canonical(manifest: Mapping[str, object]) -> bytes:
    """One form for each content, so that no changed byte of the manifest itself goes unseen."""
    return (json.dumps(manifest, indent=1) + "\n").encode()


def _json(content: bytes, path: Path) -> Any:
    try:
        return json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: not JSON: {str(error)[:200]}") from error


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """A regular file, open to read; never a link, a pipe or a device."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise CheckpointError(f"{path}: not a regular file")
            yield file
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from error


def _is_abandoned(path: Path) -> bool:
    """Whether the process that made a temporary folder is gone: its lock goes with it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return True
    try:
        return _try_lock(descriptor)
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # no locks on this file system; the run folder's own lock is then all there is
    return True


def _remove(path: Path) -> None:
    if path.is_symlink() or not path.is_dir():
        path.unlink()
    else:
        shutil.rmtree(path)
