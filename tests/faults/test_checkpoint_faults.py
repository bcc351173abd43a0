"""A checkpoint that is being saved is killed, starved and damaged at every point it can be.

After each fault the newest whole checkpoint is the old one or the new one, never a mixture, and
the next start leaves nothing behind.
"""

import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from cutaway import checkpoint
from cutaway.errors import CheckpointError, ResourceError
from tests.faults import saver

pytestmark = pytest.mark.faults

CHANGING = (
    *("mkdir", "mkdirat", "openat", "write", "pwrite64", "fsync", "fdatasync", "close", "flock"),
    *("rename", "renameat", "renameat2", "unlink", "unlinkat", "rmdir", "ftruncate", "exit_group"),
)
"""Calls between which the disk, or what others see of it, can change."""

FAILING = {
    "ENOSPC": ("mkdir", "openat", "write", "fsync", "rename"),
    "EIO": ("mkdir", "openat", "write", "fsync", "rename", "unlinkat", "rmdir", "read"),
    "EROFS": ("mkdir", "rename"),
}

NEEDS_STRACE = pytest.mark.skipif(
    shutil.which("strace") is None, reason="strace, which injects the faults, is not installed"
)
NEEDS_ROOT = pytest.mark.skipif(
    os.geteuid() != 0, reason="a real full disk is a small tmpfs, which only root can mount"
)


class Saver:
    """A process that saves under a tracer."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.saver"],
            cwd=Path(__file__).parent.parent.parent,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, question: str) -> int:
        """Sends a line and reads the answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(question)
        self.process.stdin.flush()
        return self.answer()

    def answer(self) -> int:
        """The next number that the process prints."""
        assert self.process.stdout is not None
        return int(self.process.stdout.readline())

    def save(self, folder: Path, step: int, *, log: Path, options: tuple[str, ...] = ()) -> int:
        """Saves under strace with the given options, and returns the exit code."""
        pid = self.ask(f"{folder} {step}\n")
        command = ["strace", "-qq", "-y", "-p", str(pid), "-o", str(log), *options]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True):
            _await_tracer(pid)
            os.kill(pid, signal.SIGCONT)
            return self.answer()


def _await_tracer(pid: int) -> None:
    """Waits until the process is traced; the kernel says so in its status."""
    status = Path(f"/proc/{pid}/status")
    while "TracerPid:\t0\n" in status.read_text():
        os.sched_yield()


@pytest.fixture(scope="module")
def tracing() -> Iterator[Saver]:
    saver_process = Saver()
    with saver_process.process as process:
        yield saver_process
        process.kill()


def prepared(folder: Path, step: int = 1) -> Path:
    """A folder with one good checkpoint."""
    shutil.rmtree(folder, ignore_errors=True)
    saver.save(folder, step)
    return folder


def check_after_a_fault(folder: Path, *, steps: set[int]) -> None:
    """The newest is whole and one of the two, and the next start cleans up and can save."""
    checkpoint.sweep(folder)
    found = checkpoint.newest(folder)
    assert found.checkpoint is not None
    assert found.passed_over == ()
    assert found.checkpoint.step in steps
    weight = found.checkpoint.tensors("model")["weight"]
    generator = torch.Generator().manual_seed(found.checkpoint.step)
    assert torch.equal(weight, torch.randn(8, 8, generator=generator))
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []
    saver.save(folder, 9)
    assert [path.name for path in folder.iterdir()] == ["step-00000009"]


def calls_in(log: Path) -> Counter[str]:
    """How often each system call was made."""
    names = re.findall(r"^(\w+)\(", log.read_text(), re.MULTILINE)
    return Counter(names)


@NEEDS_STRACE
@pytest.mark.parametrize("second", [2, 1], ids=["a new step", "the same step again"])
def test_kill_at_every_call_leaves_the_old_or_the_new_checkpoint(
    tmp_path: Path, tracing: Saver, second: int
):
    log, folder = tmp_path / "log", tmp_path / "checkpoints"
    assert tracing.save(prepared(folder), second, log=log) == 0
    made = calls_in(log)
    points = [(name, at) for name in CHANGING for at in range(1, made[name] + 1)]
    assert len(points) > 30
    for name, at in points:
        options = ("-e", f"inject={name}:signal=KILL:when={at}")
        code = tracing.save(prepared(folder), second, log=log, options=options)
        assert code == -signal.SIGKILL, f"{name} {at}"
        check_after_a_fault(folder, steps={1, second})
    print(f"{len(points)} kills, 0 lost")


@NEEDS_STRACE
@pytest.mark.parametrize("error", FAILING)
def test_an_error_of_the_disk_at_every_call_leaves_a_whole_checkpoint(
    tmp_path: Path, tracing: Saver, error: str
):
    log, folder = tmp_path / "log", tmp_path / "checkpoints"
    assert tracing.save(prepared(folder), 2, log=log) == 0
    made = calls_in(log)
    points = [(name, at) for name in FAILING[error] for at in range(1, made[name] + 1)]
    failures = 0
    for name, at in points:
        options = ("-e", f"inject={name}:error={error}:when={at}")
        code = tracing.save(prepared(folder), 2, log=log, options=options)
        # Success is an answer where the call was not needed, such as making a folder that is there.
        assert code in {0, 4, 5}, f"{name} {at}"
        check_after_a_fault(folder, steps={1, 2} if code else {2})
        failures += code != 0
    assert failures > len(points) // 2
    print(f"{len(points)} errors {error}, 0 lost")


@NEEDS_STRACE
def test_no_fault_before_the_new_one_is_verified_deletes_the_old_one(
    tmp_path: Path, tracing: Saver
):
    log, folder = tmp_path / "log", tmp_path / "checkpoints"
    assert tracing.save(prepared(folder), 2, log=log) == 0
    lines = log.read_text().splitlines()
    renamed = next(at for at, line in enumerate(lines) if ".tmp-" in line and "step-" in line)
    gone = next(at for at, line in enumerate(lines) if re.match(r"rename\(.*step-00000001\"", line))
    read = [at for at, line in enumerate(lines) if line.startswith("read(") and "model" in line]
    assert any(renamed < at < gone for at in read)


@NEEDS_ROOT
@pytest.mark.parametrize("tenths", [5, 8, 10, 12, 15, 18, 20, 22, 25, 30])
def test_a_full_disk_is_foreseen_and_the_old_checkpoint_stays(tmp_path: Path, tenths: int):
    weight = torch.randn(300, 300, generator=torch.Generator().manual_seed(1))
    tensors = {"model": {"weight": weight}}
    disk = tmp_path / "disk"
    disk.mkdir()
    size = weight.nbytes * tenths // 10
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("this machine lets nobody mount a tmpfs")
    try:
        saved, foreseen = [], []
        for step in (1, 2, 3):
            try:
                checkpoint.save(disk, step=step, tensors=tensors, files={})
                saved.append(step)
            except ResourceError as error:
                foreseen.append("nothing was written" in str(error))
        found = checkpoint.newest(disk)
        assert all(foreseen)
        assert found.passed_over == ()
        assert (found.checkpoint.step if found.checkpoint else None) == max(saved, default=None)
        assert len(saved) >= tenths // 10 - 1
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_limit_on_the_size_of_files_is_told_and_the_old_checkpoint_stays(tmp_path: Path):
    folder = prepared(tmp_path / "checkpoints")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200, before[1]))
        with pytest.raises(ResourceError, match="allows no larger file"):
            saver.save(folder, 2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    check_after_a_fault(folder, steps={1})


def two_checkpoints(folder: Path) -> tuple[Path, Path]:
    older = checkpoint.save(
        folder, step=1, tensors={"model": {"a": torch.ones(50)}}, files={"state.json": b"{}"}
    )
    newer = checkpoint.save(
        folder, step=2, tensors={"model": {"a": torch.zeros(50)}}, files={"state.json": b"[]"}
    )
    return older, newer


def falls_back(folder: Path) -> bool:
    found = checkpoint.newest(folder)
    return (
        found.checkpoint is not None
        and found.checkpoint.step == 1
        and len(found.passed_over) == 1
        and "step-00000002" in found.passed_over[0]
    )


def test_every_flipped_bit_is_found(tmp_path: Path):
    _, newer = two_checkpoints(tmp_path)
    chance = random.Random(7)
    for _ in range(400):
        path = chance.choice(sorted(newer.iterdir()))
        whole = path.read_bytes()
        at = chance.randrange(len(whole))
        path.write_bytes(
            whole[:at] + bytes([whole[at] ^ 1 << chance.randrange(8)]) + whole[at + 1 :]
        )
        assert falls_back(tmp_path), f"{path.name}, byte {at}"
        path.write_bytes(whole)
    assert checkpoint.newest(tmp_path).passed_over == ()


def test_every_bit_of_the_manifest_counts(tmp_path: Path):
    _, newer = two_checkpoints(tmp_path)
    path = newer / "MANIFEST.json"
    whole = path.read_bytes()
    for at in range(len(whole)):
        for bit in range(8):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :])
            assert falls_back(tmp_path), f"byte {at}, bit {bit}"


def test_every_cut_and_every_lost_file_is_found(tmp_path: Path):
    _, newer = two_checkpoints(tmp_path)
    for path in sorted(newer.iterdir()):
        whole = path.read_bytes()
        for length in {0, 1, len(whole) // 2, len(whole) - 1}:
            path.write_bytes(whole[:length])
            assert falls_back(tmp_path), f"{path.name} cut to {length}"
        path.write_bytes(whole + b"\x00")
        assert falls_back(tmp_path), f"{path.name} lengthened"
        path.unlink()
        assert falls_back(tmp_path), f"{path.name} deleted"
        path.write_bytes(whole)


def test_every_file_of_another_step_is_found(tmp_path: Path):
    older, newer = two_checkpoints(tmp_path)
    for path in sorted(newer.iterdir()):
        whole = path.read_bytes()
        shutil.copy(older / path.name, path)
        assert falls_back(tmp_path), path.name
        path.write_bytes(whole)


def test_a_checkpoint_of_which_nothing_is_whole_is_never_loaded(tmp_path: Path):
    for folder in two_checkpoints(tmp_path):
        (folder / "model.safetensors").write_bytes(b"\x80\x04]\x94.")
    found = checkpoint.newest(tmp_path)
    assert found.checkpoint is None
    assert len(found.passed_over) == 2
    with pytest.raises(CheckpointError):
        checkpoint.load(tmp_path / "step-00000002")
