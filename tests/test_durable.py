"""Files that survive: replaced as a whole, never through a link, refused where they do not fit."""

import errno
import os
from pathlib import Path

import pytest

from cutaway import durable
from cutaway.errors import ResourceError


def test_a_file_is_replaced_as_a_whole_and_nothing_is_left_beside_it(tmp_path: Path):
    path = tmp_path / "a.json"
    durable.write_file(path, b"old")
    durable.write_file(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
):
    path = tmp_path / "a.json"
    durable.write_file(path, b"old")

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os if failing == "fsync" else Path, failing, fail)
    with pytest.raises(ResourceError, match="No space left on device;\nfree some space"):
        durable.write_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_process_left_unfinished_is_written_over(tmp_path: Path):
    (tmp_path / ".a.json.unfinished").write_bytes(b"half of something longer")
    durable.write_file(tmp_path / "a.json", b"new")
    assert (tmp_path / "a.json").read_bytes() == b"new"


def test_nothing_is_written_through_a_link(tmp_path: Path):
    target = tmp_path / "target"
    target.write_bytes(b"precious")
    (tmp_path / ".a.json.unfinished").symlink_to(target)
    with pytest.raises(ResourceError):
        durable.write_file(tmp_path / "a.json", b"new")
    assert target.read_bytes() == b"precious"


def test_a_new_file_never_replaces_another(tmp_path: Path):
    path = tmp_path / "a"
    durable.create_file(path, b"first")
    with pytest.raises(FileExistsError):
        durable.create_file(path, b"second")


def test_a_write_that_cannot_fit_is_refused_before_it_begins(tmp_path: Path):
    with pytest.raises(ResourceError, match="nothing was written"):
        durable.need_space(tmp_path, 10**18)
    durable.need_space(tmp_path, 10)


@pytest.mark.parametrize("name", ["model.safetensors", "a", "A-1_b.json", "x" * 64, ".hidden"])
def test_plain_names_are_safe(name: str):
    assert durable.is_safe_name(name)


UNSAFE = ["", ".", "..", "../a", "a/b", "/etc/passwd", "a\\b", "a\x00", "a\n", "%2e%2e/a", "x" * 65]
UNSAFE += ["a b", "ａ", "․․", "a:b", "~", "$HOME", "*", "con?", "\u202ea", "é"]


@pytest.mark.parametrize("name", UNSAFE)
def test_a_name_that_could_leave_its_folder_is_not_safe(name: str):
    assert not durable.is_safe_name(name)
