"""Files of named corpora in the folder that `CUTAWAY_DATA` names, each checked by its hash."""

import hashlib
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cutaway.errors import DataError

VARIABLE = "CUTAWAY_DATA"


@dataclass(frozen=True, kw_only=True)
class DataFile:
    """A published file, known by its path in the folder, its size and its hash."""

    path: str
    """Where it lies in the folder that CUTAWAY_DATA names."""
    size: int
    """Bytes."""
    sha256: str
    """The hash of its bytes."""
    address: str
    """Where to get it."""

    def read(self) -> bytes:
        """Returns the file's bytes.

        Raises:
            DataError: The variable is not set, the file is not there, or it is another file.
        """
        folder = os.environ.get(VARIABLE)
        if not folder:
            raise DataError(
                f"{self.path} is read from a folder of your own, but {VARIABLE} is not set\n"
                f"get the file: {self.address}\n"
                f"put it at FOLDER/{self.path} and set {VARIABLE}=FOLDER"
            )
        return _checked(self, Path(folder) / self.path)


@cache
def _checked(file: DataFile, path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({error.strerror})\n"
            f"get the file: {file.address}\n"
            f"{VARIABLE} names the folder that it is looked for in"
        ) from error
    found = hashlib.sha256(content).hexdigest()
    if found != file.sha256:
        raise DataError(
            f"{path} is not the file that this corpus was measured on\n"
            f"given: {len(content)} bytes, SHA-256 {found}\n"
            f"wanted: {file.size} bytes, SHA-256 {file.sha256}\n"
            f"get the file: {file.address}"
        )
    return content
