"""Files that survive a crash: written beside their place, synced to the disk, then renamed.

A reader sees the old file or the new one, never a part of either (Pillai et al. 2014, "All File
Systems Are Not Created Equal", section 4: sync the file, rename, sync the folder).
"""

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cutaway.errors import ResourceError

SAFE_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")

ADVICE = {
    errno.ENOSPC: "free some space, or write to another disk",
    errno.EDQUOT: "the quota is used up; free some space, or write to another disk",
    errno.EFBIG: "the file system or a limit of this shell allows no larger file",
    errno.EROFS: "write to a folder that is not read-only",
    errno.EACCES: "change the folder's permissions, or write to another one",
    errno.EPERM: "change the folder's permissions, or write to another one",
    errno.EIO: "the disk reports a fault; write to another one and look at the system's log",
    errno.ENAMETOOLONG: "choose a shorter path",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
}


def is_safe_name(name: str) -> bool:
    """Whether a name from a file or from a user may become the name of a file of ours."""
    return SAFE_NAME.fullmatch(name) is not None and name not in {".", ".."}


def write_file(path: Path, content: bytes) -> None:
    """Replaces a file, or makes it; whatever happens meanwhile, one of the two is whole.

    Raises:
        ResourceError: the disk is full, read-only or faulty; the old file is untouched.
    """
    # One writer for each file, so the name of the unfinished one is fixed and never piles up.
    unfinished = path.with_name(f".{path.name}.unfinished")
    with machine_errors(f"cannot write {path}"):
        try:
            _write(unfinished, content, flags=os.O_TRUNC)
            unfinished.replace(path)
        except OSError:
            unfinished.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


def create_file(path: Path, content: bytes) -> None:
    """Writes a file that must not be there yet, and syncs it; its folder is not synced.

    Raises:
        OSError: as the machine reports it.
    """
    _write(path, content, flags=os.O_EXCL)


def sync_folder(path: Path) -> None:
    """Makes the names in a folder last; a file's own sync does not cover its name."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def need_space(folder: Path, size: int) -> None:
    """Refuses before anything is written when a write of `size` bytes would not fit.

    Raises:
        ResourceError: less is free than the size and a tenth of it.
    """
    needed = size + size // 10
    with machine_errors(f"cannot write to {folder}"):
        free = shutil.disk_usage(folder).free
    if free < needed:
        raise ResourceError(
            f"{folder}: {needed / 1e6:,.1f} MB are needed, and {free / 1e6:,.1f} MB are free;\n"
            "free some space, or write to another disk; nothing was written"
        )


@contextmanager
def machine_errors(doing: str) -> Iterator[None]:
    """Turns what the machine refuses inside into a ResourceError that says what to do."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        advice = ADVICE.get(error.errno or 0, "look at the folder and its disk")
        raise ResourceError(f"{doing}: {reason};\n{advice}") from error


def _write(path: Path, content: bytes, *, flags: int) -> None:
    # A link in the place of the file would let another file be overwritten.
    flags |= os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW
    with open(os.open(path, flags, 0o666), "wb", buffering=0) as file:
        view = memoryview(content)
        while view:
            view = view[file.write(view) :]
        os.fsync(file.fileno())
