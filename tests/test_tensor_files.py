"""Tensor files: what is written is read again, and no other kind of file is ever opened."""

import io
import json
import os
import pickle
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cutaway.errors import CheckpointError
from cutaway.tensor_files import check_tensor_file, read_tensors, tensors_as_bytes

TENSORS = {
    "weight": torch.arange(12.0).reshape(3, 4),
    "half": torch.full((2,), 1.5, dtype=torch.bfloat16),
    "count": torch.tensor(7),
    "nothing": torch.zeros(0, 3),
}


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def with_header(path: Path, header: Any, data: bytes = b"") -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return written(path, struct.pack("<Q", len(text)) + text + data)


def test_tensors_that_are_written_and_read_are_the_same_to_the_bit(tmp_path: Path):
    path = written(tmp_path / "a.safetensors", tensors_as_bytes(TENSORS))
    found = read_tensors(path)
    assert found.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)


def test_equal_tensors_give_equal_bytes_in_any_order():
    turned = dict(reversed(TENSORS.items()))
    assert tensors_as_bytes(TENSORS) == tensors_as_bytes(turned)


def test_shapes_are_told_by_the_header_alone(tmp_path: Path):
    path = written(tmp_path / "a.safetensors", tensors_as_bytes(TENSORS))
    assert check_tensor_file(path)["weight"] == (3, 4)


def test_parts_and_turns_of_a_tensor_are_written_as_they_look(tmp_path: Path):
    whole = torch.arange(12.0).reshape(3, 4)
    views = {"turned": whole.t(), "row": whole[1], "flat": whole.view(-1)[2:5]}
    path = written(tmp_path / "a.safetensors", tensors_as_bytes(views))
    for name, tensor in read_tensors(path).items():
        assert torch.equal(tensor, views[name])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_a_number_that_is_not_finite_is_never_written(value: float, dtype: torch.dtype):
    tensor = torch.zeros(5, dtype=dtype)
    tensor[3] = value
    with pytest.raises(CheckpointError, match="`w` holds 1 of 5 numbers that are not finite"):
        tensors_as_bytes({"w": tensor})


class Harmful:
    """Makes a file when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.canary),)


def saved_by_torch(canary: Path) -> bytes:
    content = io.BytesIO()
    torch.save(Harmful(canary), content)
    return content.getvalue()


@pytest.mark.parametrize("name", ["a.safetensors", "a.pt", "a.bin", "a.pkl"])
@pytest.mark.parametrize("protocol", [0, 2, 4, 5, "torch"])
def test_a_pickle_is_refused_under_every_name_and_never_run(
    tmp_path: Path, name: str, protocol: Any
):
    canary = tmp_path / "canary"
    content = (
        saved_by_torch(canary)
        if protocol == "torch"
        else pickle.dumps(Harmful(canary), protocol=protocol)
    )
    with pytest.raises(CheckpointError):
        read_tensors(written(tmp_path / name, content))
    assert not canary.exists()


def test_a_renamed_pickle_is_called_what_it_is(tmp_path: Path):
    content = pickle.dumps([1] * 100)
    with pytest.raises(CheckpointError, match="this is a pickle, not a safetensors file"):
        read_tensors(written(tmp_path / "model.safetensors", content))


ENTRY = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
BAD_HEADERS: list[Any] = [
    b"",
    b"[]",
    b"{",
    b"\xff\xff",
    b"[" * 10_000,
    b'{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}, "a": {}}',
    {"a": {}},
    {"a": 3},
    {"__metadata__": 3, "a": ENTRY},
    {"a": {**ENTRY, "more": 1}},
    {"a": {**ENTRY, "dtype": "F31"}},
    {"a": {**ENTRY, "shape": [3]}},
    {"a": {**ENTRY, "shape": [-2]}},
    {"a": {**ENTRY, "shape": [2.0]}},
    {"a": {**ENTRY, "shape": [True, 2]}},
    {"a": {**ENTRY, "shape": [2**63, 2**63]}},
    {"a": {**ENTRY, "shape": [0, 2**64]}},
    {"a": {**ENTRY, "shape": [1] * 100 + [2]}},
    {"a": {**ENTRY, "data_offsets": [0, 4]}},
    {"a": {**ENTRY, "data_offsets": [-8, 0]}},
    {"a": {**ENTRY, "data_offsets": [8, 0]}},
    {"a": {**ENTRY, "data_offsets": [8, 16]}},
    {"a": ENTRY, "b": ENTRY},
    {"a": ENTRY, "b": {**ENTRY, "data_offsets": [4, 12]}},
    {"a": {**ENTRY, "data_offsets": [0, 8, 16]}},
]


@pytest.mark.parametrize("header", BAD_HEADERS)
def test_a_header_that_does_not_fit_its_file_is_refused(tmp_path: Path, header: Any):
    with pytest.raises(CheckpointError):
        read_tensors(with_header(tmp_path / "a.safetensors", header, b"\x00" * 8))


def test_bytes_that_no_tensor_owns_are_refused(tmp_path: Path):
    path = with_header(tmp_path / "a.safetensors", {"a": ENTRY}, b"\x00" * 9)
    with pytest.raises(CheckpointError, match="take 8 bytes and the file holds 9"):
        read_tensors(path)


def test_a_header_longer_than_its_file_is_not_allocated(tmp_path: Path):
    with pytest.raises(CheckpointError):
        read_tensors(written(tmp_path / "a.safetensors", struct.pack("<Q", 2**62) + b"{}"))


@given(content=st.binary(max_size=200))
def test_no_bytes_make_the_reader_fail_otherwise(
    content: bytes, tmp_path_factory: pytest.TempPathFactory
):
    path = written(tmp_path_factory.getbasetemp() / "any.safetensors", content)
    with pytest.raises(CheckpointError):
        read_tensors(path)


def test_links_pipes_folders_and_nothing_are_refused(tmp_path: Path):
    real = written(tmp_path / "real", tensors_as_bytes(TENSORS))
    (tmp_path / "link").symlink_to(real)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("link", "pipe", "folder", "missing"):
        with pytest.raises(CheckpointError):
            read_tensors(tmp_path / name)
