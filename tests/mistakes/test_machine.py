"""What the machine refuses, and what another process or another command has already begun."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cutaway import devices
from cutaway.errors import ResourceError
from cutaway.run_folder import RunFolder
from tests.mistakes.conftest import PRETRAIN, QUICK, TOY, Tell

NEEDS_ROOT = pytest.mark.skipif(
    os.geteuid() != 0, reason="a disk of its own is a small tmpfs, which only root can mount"
)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 kB, which holds a tokenizer but no checkpoint."""
    path = tmp_path / "disk"
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(path)]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount a tmpfs")
    try:
        yield path
    finally:
        subprocess.run(["umount", str(path)], check=True)


@NEEDS_ROOT
def test_a_full_disk_is_told_with_what_is_needed(tell: Tell, disk: Path) -> None:
    told = tell(f"pretrain data=texts run=disk/r {TOY} {QUICK}")
    assert told.code == 5
    assert "disk/r/checkpoints: 0.2 MB are needed, and " in told.errors
    assert "free some space, or write to another disk" in told.errors


@NEEDS_ROOT
def test_a_disk_without_any_space_is_told_with_the_file(tell: Tell, disk: Path) -> None:
    (disk / "filler").write_bytes(b"x" * 60_000)
    told = tell(f"pretrain data=texts run=disk/r {TOY} {QUICK}")
    assert told.code == 5
    assert "disk/r" in told.errors
    assert "free some space, or write to another disk" in told.errors


@NEEDS_ROOT
@pytest.mark.parametrize("command", [f"pretrain data=texts {TOY} {QUICK}", "tokenizer data=texts"])
def test_a_read_only_folder_is_told_with_the_way_out(tell: Tell, disk: Path, command: str) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    told = tell(f"{command} run=disk/r")
    assert told.code == 5
    assert "cannot make the folder disk/r: Read-only file system" in told.errors
    assert "write to a folder that is not read-only" in told.errors


@pytest.mark.parametrize("command", ["pretrain data=texts", "tokenizer data=texts"])
def test_a_file_where_the_run_should_be_is_told(tell: Tell, command: str) -> None:
    told = tell(f"{command} run=texts/1.txt")
    assert told.code == 2
    assert "texts/1.txt: a file is in the way; choose another folder with run=PATH" in told.errors


def test_a_run_that_another_process_writes_is_left_alone(tell: Tell) -> None:
    with RunFolder(path=Path("mine")).lock():
        told = tell(PRETRAIN.replace("run=toy", "run=mine"))
    assert told.code == 2
    assert f"mine: process {os.getpid()} on " in told.errors
    assert "wait for it, stop it, or write to another folder with run=PATH" in told.errors


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("seed=1", "seed=0, and 1 was given"),
        ("model.width=32", "model.width=16, and 32 was given"),
        ("optimizer.learning_rate=0.5", "optimizer.learning_rate=0.02, and 0.5 was given"),
        ("size=2", "size=3, and 2 was given"),
    ],
)
def test_a_run_does_not_go_on_with_another_setting(
    tell: Tell, toy_run: Path, change: str, said: str
) -> None:
    shutil.copytree(toy_run, "mine")
    config = Path("mine/config.toml").read_text()
    told = tell(f"{PRETRAIN.replace('run=toy', 'run=mine')} {change}")
    assert told.code == 2
    assert f"mine holds a run with {said}" in told.errors
    assert Path("mine/config.toml").read_text() == config


def test_a_model_is_not_fine_tuned_into_its_own_folder(tell: Tell, toy_run: Path) -> None:
    shutil.copytree(toy_run, "mine")
    told = tell(f"finetune mine data=chats.jsonl run=mine {QUICK}")
    assert told.code == 2
    assert "mine holds a run of `cutaway pretrain`, and finetune needs a folder" in told.errors


@pytest.mark.parametrize("sizes", ["model.width=100000", "pacing.rows=100000000"])
def test_what_cannot_fit_the_memory_is_told_before_it_is_taken(tell: Tell, sizes: str) -> None:
    told = tell(f"pretrain data=texts run=r {TOY} {QUICK} {sizes}")
    assert told.code == 5
    assert "GB to learn,\nand this machine has" in told.errors
    assert "fewer rows at once with pacing.micro_rows" in told.errors


def test_memory_that_runs_out_is_told_with_what_to_make_smaller(
    tell: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cutaway.stages import generate

    def fails(config: object, *, console: object) -> None:
        raise MemoryError("unable to allocate")

    monkeypatch.setattr(generate, "run", fails)
    told = tell("generate toy x")
    assert told.code == ResourceError.exit_code
    assert "choose a smaller size=, a smaller batch or a shorter context" in told.errors


def test_a_compiler_that_was_asked_for_must_be_there(
    tell: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "_compiler", lambda: None)
    told = tell(f"pretrain data=texts run=r {TOY} {QUICK} pacing.compile=yes")
    assert told.code == 2
    assert "compile=yes: no C++ compiler" in told.errors
    assert "g++ and python3-dev" in told.errors
    assert "or write compile=auto" in told.errors
