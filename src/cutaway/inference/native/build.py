"""Compiles `decoder.cpp` on first use, with the machine's own compiler and for its own processor.

The library is kept under the name of what it was made of, so that another source, compiler or
processor gets another one. It is written beside its place and then moved there: a process that
compiles at the same time, or dies while it does, spoils nothing.
"""

import ctypes
import hashlib
import os
import platform
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cutaway.devices import cache_folder

SOURCE = Path(__file__).with_name("decoder.cpp")
HEADERS = tuple(
    SOURCE.with_name(name)
    for name in ("attention.h", "choices.h", "products.h", "steps.h", "vectors.h")
)
FLAGS = ("-O3", "-std=c++17", "-fPIC", "-shared")
EXTRAS = (("-march=native", "-fopenmp"), ("-march=native",), ())
"""What makes it fast, best first; a compiler that refuses all of one line is asked for the next."""

LONGEST_S = 120
"""A compiler that takes longer than this is given up; it takes about five seconds."""


@dataclass(frozen=True, kw_only=True)
class Native:
    """The compiled library, or why there is none."""

    library: ctypes.CDLL | None
    reason: str


@cache
def load() -> Native:
    """Loads the library and compiles it first if need be."""
    compiler = find_compiler()
    if compiler is None:
        return Native(
            library=None, reason="no C++ compiler was found (g++ or clang++, or what CXX names)"
        )
    try:
        path, extra = compiled(compiler, folder=cache_folder() / "native")
        library = ctypes.CDLL(str(path))
    except OSError as error:
        return Native(library=None, reason=f"the library cannot be made or loaded: {error}")
    library.panel_width.restype = ctypes.c_int64
    return Native(library=library, reason=f"compiled by {compiler} {' '.join(extra)}".rstrip())


def find_compiler() -> Path | None:
    """The C++ compiler that `CXX` names, or one of the usual."""
    named = os.environ.get("CXX")
    found = map(shutil.which, [named] if named else ["g++", "clang++", "c++"])
    return next((Path(path) for path in found if path), None)


def compiled(compiler: Path, *, folder: Path) -> tuple[Path, tuple[str, ...]]:
    """The library in `folder`, made if it is not there, and the flags that it was made with.

    Raises:
        OSError: the folder cannot be written to, or the compiler refuses the source.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    refusal = ""
    for extra in EXTRAS:
        path = folder / f"decoder-{_fingerprint(compiler, extra=extra)}.so"
        if path.is_file():
            return path, extra
        with tempfile.TemporaryDirectory(dir=folder) as beside:
            made = Path(beside) / path.name
            try:
                done = subprocess.run(
                    [str(compiler), *FLAGS, *extra, str(SOURCE), "-o", str(made)],
                    capture_output=True,
                    text=True,
                    timeout=LONGEST_S,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                raise OSError(f"{compiler} took longer than {LONGEST_S} s") from None
            if done.returncode == 0:
                made.replace(path)
                return path, extra
            refusal = (done.stderr.splitlines() or ["no message"])[0][:200]
    raise OSError(f"{compiler} refuses {SOURCE.name}: {refusal}")


def _fingerprint(compiler: Path, *, extra: tuple[str, ...]) -> str:
    """Changes with the source, the flags, the compiler and the processor it compiles for."""
    identity = compiler.resolve()
    parts = [path.read_bytes() for path in (SOURCE, *HEADERS)]
    parts += [repr((FLAGS, extra)).encode(), str(identity).encode()]
    parts += [str((identity.stat().st_size, identity.stat().st_mtime_ns)).encode()]
    parts += [platform.machine().encode(), _processor_flags().encode()]
    return hashlib.sha256(b"\x1f".join(parts)).hexdigest()[:20]


def _processor_flags() -> str:
    """The instruction sets of the processor, as the Linux kernel lists them."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.processor()
    found = re.search(r"^(flags|Features)\s*:\s*(.+)$", text, re.MULTILINE)
    return found[2] if found else platform.processor()
