"""Checkpoints: whole or not there, newest good one first, nothing believed that does not add up."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from cutaway import checkpoint
from cutaway.errors import CheckpointError, ResourceError


def tensors_of(step: int) -> dict[str, dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(step)
    return {
        "model": {"weight": torch.randn(4, 3, generator=generator)},
        "optimizer": {"momentum": torch.randn(4, 3, generator=generator)},
    }


def save(checkpoints: Path, step: int, keep: int | None = None) -> Path:
    files = {"state.json": json.dumps({"step": step}).encode(), "config.json": b"{}"}
    return checkpoint.save(checkpoints, step=step, tensors=tensors_of(step), files=files, keep=keep)


def steps_in(checkpoints: Path) -> list[str]:
    return sorted(path.name for path in checkpoints.iterdir())


def test_what_is_saved_is_loaded_to_the_bit(tmp_path: Path):
    found = checkpoint.load(save(tmp_path / "checkpoints", 7))
    assert found.step == 7
    for stem, tensors in tensors_of(7).items():
        for name, tensor in found.tensors(stem).items():
            assert torch.equal(tensor, tensors[name])
    assert found.json("state.json") == {"step": 7}
    assert found.bytes("config.json") == b"{}"


def test_a_step_saved_twice_gives_the_same_bytes(tmp_path: Path):
    first, second = save(tmp_path / "a", 3), save(tmp_path / "b", 3)
    for path in first.iterdir():
        assert path.read_bytes() == (second / path.name).read_bytes()


def test_the_newest_is_the_one_of_the_highest_step(tmp_path: Path):
    for step in (5, 100_000_001, 20):
        save(tmp_path, step)
    found = checkpoint.newest(tmp_path)
    assert found.checkpoint is not None
    assert (found.checkpoint.step, found.passed_over) == (100_000_001, ())


def test_a_folder_without_checkpoints_has_no_newest(tmp_path: Path):
    assert checkpoint.newest(tmp_path / "missing") == checkpoint.Newest(
        checkpoint=None, passed_over=()
    )


def test_only_as_many_as_are_wanted_are_kept(tmp_path: Path):
    for step in range(1, 6):
        save(tmp_path, step, keep=2)
    assert steps_in(tmp_path) == ["step-00000004", "step-00000005"]


def test_a_pinned_checkpoint_outlives_all_others_until_its_name_moves(tmp_path: Path):
    checkpoint.pin(save(tmp_path, 1), name="best")
    for step in (2, 3):
        save(tmp_path, step, keep=1)
    assert steps_in(tmp_path) == ["pins.json", "step-00000001", "step-00000003"]
    assert checkpoint.pinned(tmp_path) == {"best": tmp_path / "step-00000001"}
    checkpoint.pin(tmp_path / "step-00000003", name="best")
    save(tmp_path, 4, keep=1)
    assert steps_in(tmp_path) == ["pins.json", "step-00000003", "step-00000004"]


def test_damaged_pins_delete_nothing(tmp_path: Path):
    save(tmp_path, 1)
    (tmp_path / "pins.json").write_text('{"best": "../../home"}')
    with pytest.raises(CheckpointError, match="delete it, and pin"):
        save(tmp_path, 2, keep=1)
    assert {"step-00000001", "step-00000002"} <= set(steps_in(tmp_path))


def test_nothing_is_deleted_before_the_new_one_was_read_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    save(tmp_path, 1)

    def unreadable(path: Path) -> None:
        raise CheckpointError(f"{path}: damaged")

    monkeypatch.setattr(checkpoint, "load", unreadable)
    with pytest.raises(CheckpointError):
        save(tmp_path, 2, keep=1)
    assert steps_in(tmp_path) == ["step-00000001", "step-00000002"]


def test_a_later_step_that_stands_in_the_folder_never_displaces_the_new_one(tmp_path: Path):
    (save(tmp_path, 9) / "config.json").write_bytes(b"[]")
    save(tmp_path, 1)
    save(tmp_path, 2, keep=1)
    found = checkpoint.newest(tmp_path)
    assert found.checkpoint is not None
    assert found.checkpoint.step == 2


def test_a_step_that_is_saved_again_replaces_the_old_one(tmp_path: Path):
    (save(tmp_path, 1) / "model.safetensors").write_bytes(b"damaged")
    save(tmp_path, 1)
    assert checkpoint.newest(tmp_path).passed_over == ()
    assert steps_in(tmp_path) == ["step-00000001"]


DAMAGES: dict[str, Callable[[Path], object]] = {
    "flipped": lambda path: _flip(path / "model.safetensors", byte=-1),
    "cut": lambda path: os.truncate(path / "model.safetensors", 100),
    "emptied": lambda path: os.truncate(path / "state.json", 0),
    "sparse": lambda path: os.truncate(path / "state.json", 2**31),
    "deleted": lambda path: (path / "config.json").unlink(),
    "no manifest": lambda path: (path / "MANIFEST.json").unlink(),
    "manifest cut": lambda path: os.truncate(path / "MANIFEST.json", 50),
    "manifest spaced": lambda path: _spaced(path / "MANIFEST.json"),
    "manifest deep": lambda path: (path / "MANIFEST.json").write_bytes(b"[" * 10**5),
    "manifest huge": lambda path: os.truncate(path / "MANIFEST.json", 2**31),
    "linked": lambda path: _linked(path / "config.json"),
    "swapped": lambda path: _swapped(path),
    "emptied folder": lambda path: [file.unlink() for file in path.iterdir()],
}


def _flip(path: Path, *, byte: int, bit: int = 0) -> None:
    content = bytearray(path.read_bytes())
    content[byte] ^= 1 << bit
    path.write_bytes(content)


def _spaced(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b": ", b":  "))


def _linked(path: Path) -> None:
    twin = path.parent.parent / "twin.json"
    path.rename(twin)
    path.symlink_to(twin)


def _swapped(path: Path) -> None:
    shutil.copy(path.parent / "step-00000001" / "model.safetensors", path)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_passed_over_by_name_and_the_older_one_taken(
    tmp_path: Path, damage: str
):
    save(tmp_path, 1)
    DAMAGES[damage](save(tmp_path, 2))
    found = checkpoint.newest(tmp_path)
    assert found.checkpoint is not None
    assert found.checkpoint.step == 1
    assert len(found.passed_over) == 1
    assert "step-00000002" in found.passed_over[0]


def test_a_folder_that_was_renamed_to_a_later_step_is_not_believed(tmp_path: Path):
    save(tmp_path, 1).rename(tmp_path / "step-00000005")
    with pytest.raises(CheckpointError, match="the manifest belongs to step 1"):
        checkpoint.load(tmp_path / "step-00000005")


def test_a_link_to_a_checkpoint_is_refused(tmp_path: Path):
    (tmp_path / "step-00000002").symlink_to(save(tmp_path / "elsewhere", 2))
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        checkpoint.load(tmp_path / "step-00000002")


@pytest.mark.parametrize("name", ["../x", "a/b", "/etc/passwd", "..", "", "x" * 65, "é", "a\x00"])
def test_a_manifest_that_names_a_place_elsewhere_is_refused(tmp_path: Path, name: str):
    manifest = save(tmp_path, 1) / "MANIFEST.json"
    content = json.loads(manifest.read_text())
    content["files"][name] = {"size": 0, "sha256": "0" * 64}
    manifest.write_text(json.dumps(content, indent=1) + "\n")
    with pytest.raises(CheckpointError, match="is not a size and a hash"):
        checkpoint.load(manifest.parent)


@pytest.mark.parametrize("name", ["../x", "a/b", "MANIFEST.json", "model.safetensors", ""])
def test_a_file_with_a_name_that_is_taken_or_unsafe_is_not_saved(tmp_path: Path, name: str):
    with pytest.raises(CheckpointError, match="cannot hold a file called"):
        checkpoint.save(tmp_path, step=1, tensors=tensors_of(1), files={name: b""})


def test_what_the_manifest_does_not_name_is_not_read(tmp_path: Path):
    path = save(tmp_path, 1)
    (path / "extra.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"has no extra\.json; it holds"):
        checkpoint.load(path).json("extra.json")


def test_a_tensor_that_is_not_finite_leaves_no_trace(tmp_path: Path):
    tensors = tensors_of(1)
    tensors["optimizer"]["momentum"][2, 2] = torch.nan
    with pytest.raises(CheckpointError, match="`optimizer/momentum` holds 1 of 12"):
        checkpoint.save(tmp_path / "checkpoints", step=1, tensors=tensors, files={})
    assert not (tmp_path / "checkpoints").exists()


def test_a_checkpoint_that_cannot_fit_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    save(tmp_path, 1)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=100))
    with pytest.raises(ResourceError, match="nothing was written"):
        save(tmp_path, 2)
    assert steps_in(tmp_path) == ["step-00000001"]


def test_what_a_dead_process_left_is_swept_away_and_what_it_set_aside_comes_back(tmp_path: Path):
    save(tmp_path, 1)
    (tmp_path / "step-00000001").rename(tmp_path / f".replaced-step-00000001-{'a' * 16}")
    (tmp_path / f".tmp-999999-{'b' * 16}").mkdir()
    (tmp_path / f".tmp-{os.getpid()}-{'c' * 16}").mkdir()
    (tmp_path / "notes").mkdir()
    assert len(checkpoint.sweep(tmp_path)) == 3
    assert steps_in(tmp_path) == ["notes", "step-00000001"]
    assert checkpoint.newest(tmp_path).checkpoint is not None


def test_what_a_living_process_is_writing_is_left_alone(tmp_path: Path):
    with checkpoint._unfinished(tmp_path) as folder:
        assert checkpoint.sweep(tmp_path) == ()
        assert folder.is_dir()
    assert checkpoint.sweep(tmp_path) == (folder.name,)


def test_steps_and_numbers_to_keep_are_checked(tmp_path: Path):
    for step, keep in ((-1, None), (1, 0)):
        with pytest.raises(ValueError, match="step is 0 or more and keep is 1 or more"):
            save(tmp_path, step, keep)
