"""Laws of files in the folder that CUTAWAY_DATA names."""

import hashlib
from pathlib import Path

import pytest

from cutaway.errors import DataError
from cutaway.text.data_folder import VARIABLE, DataFile

CONTENT = b"what the publisher gave"
FILE = DataFile(
    path="play/text.txt",
    size=len(CONTENT),
    sha256=hashlib.sha256(CONTENT).hexdigest(),
    address="https://example.org/play",
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Names an empty folder in the variable."""
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    (tmp_path / "play").mkdir()
    return tmp_path


def test_the_right_file_is_read(folder: Path) -> None:
    (folder / FILE.path).write_bytes(CONTENT)
    assert FILE.read() == CONTENT


def test_another_file_is_refused_with_both_hashes(folder: Path) -> None:
    (folder / FILE.path).write_bytes(CONTENT + b"!")
    with pytest.raises(DataError) as error:
        FILE.read()
    assert FILE.sha256 in str(error.value)
    assert hashlib.sha256(CONTENT + b"!").hexdigest() in str(error.value)


def test_a_missing_file_says_where_to_get_it(folder: Path) -> None:
    with pytest.raises(DataError, match=r"https://example\.org/play"):
        FILE.read()


def test_a_variable_that_is_not_set_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(DataError, match=f"set {VARIABLE}=FOLDER"):
        FILE.read()
