"""What a folder of shards says about itself: counts, and the size and hash of each file."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cutaway.errors import DataError

FORMAT = "cutaway-shards-1"
MANIFEST = "manifest.json"


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a folder of shards says about itself."""

    vocab_size: int
    """Every id is below it."""
    num_tokens: int
    """Ids in all token files together."""
    num_documents: int
    """Documents, none of them empty."""
    shard_tokens: int
    """Ids per token file; the last may have fewer."""
    has_learned: bool
    """Whether the documents say which ids are learned from."""
    files: dict[str, dict[str, Any]]
    """Size in bytes and SHA-256 of each file."""
    about: dict[str, str] = field(default_factory=dict)
    """Whatever the writer wants remembered, as the hash of the tokenizer."""

    @property
    def token_type(self) -> np.dtype[Any]:
        """Gives the smallest type that holds every id."""
        return np.dtype("<u2" if self.vocab_size <= 1 << 16 else "<u4")

    def to_json(self) -> str:
        """Writes the manifest as the text of its file."""
        return json.dumps({"format": FORMAT, **self.__dict__}, indent=2, sort_keys=True) + "\n"

    def expected_sizes(self) -> dict[str, int]:
        """Gives the size in bytes that each file must have for these counts."""
        sizes = {"offsets.bin": 8 * (self.num_documents + 1)}
        for number, start in enumerate(range(0, self.num_tokens, self.shard_tokens)):
            tokens = min(self.shard_tokens, self.num_tokens - start)
            sizes[f"tokens-{number:05}.bin"] = tokens * self.token_type.itemsize
            if self.has_learned:
                sizes[f"learned-{number:05}.bin"] = (tokens + 7) // 8
        return sizes


def damaged(path: Path, reason: str) -> DataError:
    """Makes the error for a file that contradicts itself."""
    return DataError(f"{path} is damaged: {reason}\nMake the shards again.")


def read_manifest(folder: Path) -> Manifest:
    """Reads and checks the manifest of a folder."""
    path = folder / MANIFEST
    if not path.is_file():
        raise DataError(
            f"{folder} holds no shards: there is no {MANIFEST}\n"
            "Give the folder that the data stage wrote."
        )
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise damaged(path, f"not JSON ({error})") from error
    if not isinstance(values, dict) or values.pop("format", None) != FORMAT:
        raise damaged(path, f'its "format" is not "{FORMAT}"')
    counts = ["vocab_size", "num_tokens", "num_documents", "shard_tokens"]
    for name in counts:
        if type(values.get(name)) is not int or values[name] < 1:
            raise damaged(path, f'"{name}" is not a whole number from 1')
    files = values.get("files")
    if not isinstance(files, dict) or not all(
        isinstance(entry, dict) and isinstance(entry.get("sha256"), str) for entry in files.values()
    ):
        raise damaged(path, '"files" does not give a "sha256" for each file')
    if len(files) * values["shard_tokens"] < values["num_tokens"]:
        raise damaged(path, "its counts need more files than it lists")
    about = values.get("about")
    return Manifest(
        **{name: values[name] for name in counts},
        has_learned=values.get("has_learned") is True,
        files=files,
        about={str(key): str(about[key]) for key in about} if isinstance(about, dict) else {},
    )
