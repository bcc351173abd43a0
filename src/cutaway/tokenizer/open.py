"""Opens any tokenizer that Cutaway can use, from its file or from a folder that has one."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cutaway.errors import CheckpointError
from cutaway.tokenizer import characters, vocabulary
from cutaway.tokenizer.base import FILE_NAME, Tokenizer
from cutaway.tokenizer.fast import BytePairTokenizer
from cutaway.tokenizer.library import LibraryTokenizer

LARGEST_FILE = 256 * 1024 * 1024  # bytes; vocabularies of 256,000 tokens take some 30 million


def open_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer of a folder (of a run, a checkpoint, Hugging Face, GPT-2) or of a file.

    Raises CheckpointError, with the cause, for what is none of these.
    """
    if path.is_dir():
        has_two = any((path / merges).is_file() for _, merges in vocabulary.GPT2_FILES)
        if has_two and not (path / FILE_NAME).is_file():
            return BytePairTokenizer(vocabulary.read_gpt2(path))
        path = path / FILE_NAME
    content = _read(path)
    try:
        return tokenizer_from(content)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise CheckpointError(
            f"{path} is not a tokenizer that can be used: {_told(error)}.\n"
            "Allowed: byte pairs (GPT-2, Llama, Qwen, what `cutaway tokenizer` writes), "
            "word pieces and single characters."
        ) from error


def tokenizer_from(content: Mapping[str, Any]) -> Tokenizer:
    """The tokenizer that the content of a tokenizer.json describes."""
    if content["model"]["type"] == "WordLevel":
        return characters.from_file(content)
    if vocabulary.is_plain(content):
        return BytePairTokenizer(vocabulary.from_file(content))
    return LibraryTokenizer(content)


def _read(path: Path) -> Any:
    """The JSON of a file."""
    try:
        size = path.stat().st_size
        if size > LARGEST_FILE:
            raise CheckpointError(f"{path} has {size:,} bytes; allowed are {LARGEST_FILE:,}.")
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(
            f"There is no tokenizer at {path}.\nGive a run folder, a checkpoint, or a {FILE_NAME}; "
            "`cutaway tokenizer` trains one."
        ) from error
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path} is not JSON: {error}.\nIt is cut short or of another format; copy it again."
        ) from error


def _told(error: Exception) -> str:
    """A sentence about an error that a field of the wrong kind caused."""
    if isinstance(error, KeyError):
        return f"{error} is missing or not known"
    return str(error).rstrip(".")
