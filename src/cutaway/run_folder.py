"""The run folder: what a stage writes, and from which it goes on after it was stopped.

`metrics.jsonl` is the truth: one JSON object a line, appended as the run goes, cut back to the
step from which a run is resumed, so that it reads as if nothing had happened.
"""

import fcntl
import hashlib
import importlib.metadata
import json
import math
import os
import platform
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cutaway.durable import machine_errors, sync_folder, write_file
from cutaway.errors import DataError, UsageError

PACKAGES = ("cutaway", "torch", "numpy", "safetensors", "tokenizers", "tiktoken", "pyarrow")
"""Whose versions a run's provenance tells."""

SETTINGS = ("OMP_NUM_THREADS", "OMP_PROC_BIND", "LD_PRELOAD", "CUDA_VISIBLE_DEVICES")
"""Which variables of the environment change a run's numbers or its speed."""

TAIL = 2**20
"""Bytes at the end of a file in which its last whole line is looked for."""


@dataclass(frozen=True, kw_only=True)
class RunFolder:
    """The places in one run folder."""

    path: Path

    @property
    def config(self) -> Path:
        """The resolved config, as TOML."""
        return self.path / "config.toml"

    @property
    def provenance(self) -> Path:
        """Versions, commit and hashes, as JSON."""
        return self.path / "provenance.json"

    @property
    def metrics(self) -> "JsonLines":
        """One line a step: the truth about the run."""
        return JsonLines(path=self.path / "metrics.jsonl")

    @property
    def samples(self) -> "JsonLines":
        """What the model said along the way."""
        return JsonLines(path=self.path / "samples.jsonl")

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def tokenizer(self) -> Path:
        """The tokenizer's file."""
        return self.path / "tokenizer.json"

    @property
    def report(self) -> Path:
        """The report to read."""
        return self.path / "report.html"

    @property
    def report_data(self) -> Path:
        """The report's twin for machines."""
        return self.path / "report.json"

    @property
    def lock_file(self) -> Path:
        """Who is writing to this folder."""
        return self.path / "lock.json"

    @property
    def is_being_written(self) -> bool:
        """Whether the process that the lock names is alive; of another machine nothing is known."""
        with machine_errors(f"cannot read {self.lock_file}"):
            try:
                descriptor = os.open(self.lock_file, os.O_RDONLY | os.O_NOFOLLOW)
            except FileNotFoundError:
                return False
            try:
                host, pid = _named(descriptor)
            finally:
                os.close(descriptor)
        return host == socket.gethostname() and _is_alive(pid)

    def create(self, config_text: str, provenance: Mapping[str, object]) -> None:
        """Makes the folder with its config and provenance; what a run wrote there before stays.

        Raises:
            UsageError: something else than a folder is in the way.
            ResourceError: the machine refuses.
        """
        self._make()
        write_file(self.config, config_text.encode())
        text = json.dumps(provenance, indent=2, ensure_ascii=False, default=str)
        write_file(self.provenance, (text + "\n").encode())

    @contextmanager
    def lock(self, *, is_ours: bool = True) -> Iterator[None]:
        """Keeps every other process from writing to this folder; the lock of a dead one is free.

        Args:
            is_ours: False in a process that only reads, beside the one of its group that writes.

        Raises:
            UsageError: another process is writing here.
        """
        self._make()
        if not is_ours:
            yield
            return
        with machine_errors(f"cannot lock {self.path}"):
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
            descriptor = os.open(self.lock_file, flags, 0o666)
        try:
            if not _try_lock(descriptor):
                raise UsageError(
                    f"{self.path}: {_holder(descriptor)} is writing here;\n"
                    "wait for it, stop it, or write to another folder with run=PATH"
                )
            with machine_errors(f"cannot lock {self.path}"):
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, _own_name(), 0)
            yield
            os.ftruncate(descriptor, 0)
        finally:
            os.close(descriptor)

    def _make(self) -> None:
        with machine_errors(f"cannot make the folder {self.path}"):
            if self.path.exists() and not self.path.is_dir():
                raise UsageError(
                    f"{self.path}: a file is in the way; choose another folder with run=PATH"
                )
            self.path.mkdir(parents=True, exist_ok=True)


@dataclass(frozen=True, kw_only=True)
class JsonLines:
    """A file of JSON objects, one a line, that is only appended to.

    A crash can tear the last line: it is passed over in reading, and cut off before the next is
    appended. JSON has no word for a number that is not finite: it is written as the text `NaN`,
    `Infinity` or `-Infinity`, which `float` reads.
    """

    path: Path

    def append(self, record: Mapping[str, object]) -> None:
        """Adds one line; the system writes it out when it likes, `sync` at once."""
        line = json.dumps(_encoded(record), allow_nan=False, ensure_ascii=False) + "\n"
        with machine_errors(f"cannot write {self.path}"):
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
            descriptor = os.open(self.path, flags, 0o666)
            try:
                _cut_torn_line(descriptor)
                rest = line.encode(errors="replace")
                while rest:
                    rest = rest[os.write(descriptor, rest) :]
            finally:
                os.close(descriptor)

    def read(self) -> list[dict[str, Any]]:
        """All records; an empty list where there is no file.

        Raises:
            DataError: a line other than the last is not a JSON object.
        """
        return [record for _, record in self._records()]

    def cut_after(self, step: int) -> None:
        """Drops the first record of a later step and all that follow it."""
        end = None
        for begin, record in self._records():
            if isinstance(record.get("step"), int) and record["step"] > step:
                end = begin
                break
        if end is not None:
            with machine_errors(f"cannot write {self.path}"), self.path.open("r+b") as file:
                file.truncate(end)
                os.fsync(file.fileno())

    def sync(self) -> None:
        """Makes what was appended last through a power cut."""
        if self.path.exists():
            with machine_errors(f"cannot write {self.path}"), self.path.open("rb") as file:
                os.fsync(file.fileno())
                sync_folder(self.path.parent)

    def _records(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Each record with the byte at which its line begins."""
        if not self.path.exists():
            return
        begin = 0
        with self.path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.endswith(b"\n"):
                    return
                try:
                    record = json.loads(line)
                except (ValueError, RecursionError):
                    record = None
                if not isinstance(record, dict):
                    raise DataError(
                        f"{self.path}, line {number}: not a JSON object;\n"
                        "the file was changed by something else: delete the line, or the run"
                    )
                yield begin, record
                begin += len(line)


def provenance(
    *, data: Mapping[str, str] | None = None, tokenizer: str | None = None
) -> dict[str, object]:
    """What a run was made from: versions, machine, commit, command, and the given hashes.

    Args:
        data: SHA-256 of each corpus or file, by name.
        tokenizer: SHA-256 of the tokenizer's file.
    """
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "python": platform.python_version(),
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count(),
        "environment": {name: os.environ[name] for name in SETTINGS if name in os.environ},
        "commit": _commit(Path(__file__).parent),
        "data": dict(data or {}),
        "tokenizer": tokenizer,
    }


def hash_of_file(path: Path) -> str:
    """The SHA-256 of a file's content, as provenance tells it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _commit(folder: Path) -> dict[str, object] | None:
    """The commit of the checkout that this file is part of, and whether files of it changed."""
    if not _git(folder, "ls-files", "--error-unmatch", __file__):
        return None
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return {"hash": _git(folder, "rev-parse", "HEAD"), "changed": bool(changed)}


def _git(folder: Path, *arguments: str) -> str:
    """What git says; nothing where it fails, or where there is none."""
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return ""
    return done.stdout.strip()


def _try_lock(descriptor: int) -> bool:
    """Takes the lock, which the kernel frees with its process, however that ends."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        # No locks on this file system: the process that the file names must be gone.
        host, pid = _named(descriptor)
        return not host or (host == socket.gethostname() and not _is_alive(pid))
    return True


def _own_name() -> bytes:
    began = datetime.now(UTC).isoformat(timespec="seconds")
    return json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": began}).encode()


def _holder(descriptor: int) -> str:
    host, pid = _named(descriptor)
    return f"process {pid} on {host}" if host else "another process"


def _named(descriptor: int) -> tuple[str, int]:
    """The host and the process in a lock file; no host where nothing can be read."""
    try:
        match json.loads(os.pread(descriptor, 4096, 0)):
            case {"host": str(host), "pid": int(pid)}:
                return host, pid
    except (OSError, ValueError):
        pass
    return "", 0


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _cut_torn_line(descriptor: int) -> None:
    size = os.fstat(descriptor).st_size
    if size == 0 or os.pread(descriptor, 1, size - 1) == b"\n":
        return
    tail = os.pread(descriptor, min(size, TAIL), max(0, size - TAIL))
    os.ftruncate(descriptor, size - len(tail) + tail.rfind(b"\n") + 1)


def _encoded(value: object) -> object:
    """A value with each number that is not finite written as a word."""
    match value:
        case float() if not math.isfinite(value):
            return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
        case Mapping():
            return {str(key): _encoded(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_encoded(inner) for inner in value]
    return value
