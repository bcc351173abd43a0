"""Token files on disk, read through memory maps: any number of documents without loading them.

A folder holds `tokens-00000.bin`, `tokens-00001.bin`, ... (little-endian ids, two bytes each where
the vocabulary allows it, else four; every file but the last has the same number of ids, and a
document may cross from one to the next), `offsets.bin` (int64: where each document begins, and the
end), where documents say what is learned from `learned-00000.bin`, ... (one bit per id), and
`manifest.json`.
"""

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

import numpy as np
from jaxtyping import Bool, Int, Int64, Shaped

from cutaway.data.manifest import MANIFEST, Manifest, damaged, read_manifest
from cutaway.durable import machine_errors, sync_folder
from cutaway.errors import DataError

Ids = Sequence[int] | Int[np.ndarray, "..."]
Marks = Sequence[bool] | Bool[np.ndarray, "..."]

BUFFERED_TOKENS = 1 << 20
"""Ids that are collected before they are checked and written."""


class Shards:
    """An opened folder of shards: one long row of ids, and where its documents begin."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest = read_manifest(folder)
        self._check_sizes()
        manifest = self.manifest
        self._token_files = self._maps("tokens", manifest.token_type)
        self._learned_files = self._maps("learned", np.dtype("u1")) if manifest.has_learned else []
        self.offsets: Int64[np.ndarray, " bounds"] = _mapped(
            folder / "offsets.bin", np.dtype("<i8")
        )
        """Where each document begins, and after the last one the end."""
        if self.offsets[0] != 0 or self.offsets[-1] != manifest.num_tokens:
            raise DataError(
                f"{folder / 'offsets.bin'} runs from {self.offsets[0]} to {self.offsets[-1]}, "
                f"not from 0 to {manifest.num_tokens}\nMake the shards again."
            )

    @property
    def num_tokens(self) -> int:
        """Counts the ids of all documents."""
        return self.manifest.num_tokens

    @property
    def num_documents(self) -> int:
        """Counts the documents."""
        return self.manifest.num_documents

    @property
    def vocab_size(self) -> int:
        """Gives the size of the vocabulary that the ids belong to."""
        return self.manifest.vocab_size

    @property
    def lengths(self) -> Int64[np.ndarray, " documents"]:
        """Gives the number of ids of each document."""
        return np.diff(self.offsets)

    @property
    def fingerprint(self) -> str:
        """Gives one hash of all the content, for provenance."""
        hashes = {name: entry["sha256"] for name, entry in self.manifest.files.items()}
        return sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest()

    def document(self, index: int) -> Int64[np.ndarray, " tokens"]:
        """Reads the ids of one document."""
        return self.gather(np.arange(self.offsets[index], self.offsets[index + 1]))

    def learned(self, index: int) -> Bool[np.ndarray, " tokens"]:
        """Says for each id of one document whether it is learned from."""
        return self.gather_learned(np.arange(self.offsets[index], self.offsets[index + 1]))

    def gather(self, positions: Int64[np.ndarray, "*shape"]) -> Int64[np.ndarray, "*shape"]:
        """Reads the ids at any positions of the long row."""
        result = np.empty(positions.shape, dtype=np.int64)
        for number, chosen, places in self._by_file(positions):
            result[chosen] = self._token_files[number][places]
        return result

    def gather_learned(self, positions: Int64[np.ndarray, "*shape"]) -> Bool[np.ndarray, "*shape"]:
        """Says for the ids at any positions whether they are learned from."""
        result = np.ones(positions.shape, dtype=np.bool_)
        if self.manifest.has_learned:
            for number, chosen, places in self._by_file(positions):
                octets = self._learned_files[number][places >> 3]
                result[chosen] = (octets >> (places & 7).astype(np.uint8)) & 1
        return result

    def _by_file(
        self, positions: Int64[np.ndarray, "*shape"]
    ) -> Iterator[tuple[int, Any, Int64[np.ndarray, "..."]]]:
        """Yields each file's number, which positions lie in it, and where in the file."""
        if len(self._token_files) == 1 or positions.size == 0:
            yield 0, ..., positions
            return
        files, places = np.divmod(positions, self.manifest.shard_tokens)
        for number in range(int(files.min()), int(files.max()) + 1):
            chosen = files == number
            if chosen.any():
                yield number, chosen, places[chosen]

    def verify(self) -> None:
        """Reads every file and compares its hash with the manifest."""
        for name, entry in self.manifest.files.items():
            if file_hash(self.folder / name) != entry["sha256"]:
                raise DataError(
                    f"{self.folder / name} has changed since it was written: "
                    f"its SHA-256 is not the one in {MANIFEST}\nMake the shards again."
                )

    def _check_sizes(self) -> None:
        expected = self.manifest.expected_sizes()
        if set(expected) != set(self.manifest.files):
            raise damaged(self.folder / MANIFEST, "its list of files does not fit its counts")
        for name, size in expected.items():
            path = self.folder / name
            actual = path.stat().st_size if path.is_file() else None
            if actual != size:
                found = "is missing" if actual is None else f"has {actual} bytes, not {size}"
                raise DataError(f"{path} {found}\nCopy the folder again, or make the shards again.")

    def _maps(self, kind: str, token_type: np.dtype[Any]) -> list[Shaped[np.ndarray, " tokens"]]:
        names = [name for name in self.manifest.expected_sizes() if name.startswith(kind)]
        return [_mapped(self.folder / name, token_type) for name in names]


def write_shards(
    documents: Iterable[tuple[Ids, Marks | None]],
    folder: Path,
    *,
    vocab_size: int,
    shard_tokens: int = 1 << 27,
    about: Mapping[str, str] | None = None,
) -> Shards:
    """Writes documents as a folder of shards and opens it.

    A document is its ids, with marks of what is learned from or None for all of it; either every
    document has marks or none has. `shard_tokens` is a multiple of 8. The folder appears under its
    name only when all is written; shards that were there before are replaced then.
    """
    if vocab_size < 1 or vocab_size > 1 << 32:
        raise ValueError(f"a vocabulary of {vocab_size} does not fit four bytes per id")
    if shard_tokens < 8 or shard_tokens % 8:
        raise ValueError(f"shard_tokens is {shard_tokens}, not a multiple of 8")
    is_free = not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
    if not is_free and not (folder / MANIFEST).is_file():
        raise DataError(
            f"{folder} is in the way: it exists and holds no shards\nGive another folder."
        )
    partial = folder.with_name(f".{folder.name}.unfinished")
    with machine_errors(f"cannot write {folder}"), _removed_on_failure(partial):
        # One process writes a folder at a time, so what lies here was left by one that was killed.
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        writer = _Writer(partial, vocab_size=vocab_size, shard_tokens=shard_tokens)
        try:
            for ids, marks in documents:
                writer.add(ids, marks)
            writer.finish(dict(about or {}))
        finally:
            writer.close()
        sync_folder(partial)
        _put_in_place(partial, folder)
        sync_folder(folder.parent)
    return Shards(folder)


def file_hash(path: Path) -> str:
    """Computes the SHA-256 of a file, a mebibyte at a time."""
    digest = sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _mapped(path: Path, kind: np.dtype[Any]) -> Shaped[np.ndarray, " tokens"]:
    # A plain array over the map: indexing the memmap class itself costs ten times as much.
    return np.asarray(np.memmap(path, dtype=kind, mode="r"))


@contextmanager
def _removed_on_failure(folder: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _put_in_place(partial: Path, folder: Path) -> None:
    """Renames a folder; one that was there steps aside first, because it cannot be replaced."""
    replaced = folder.with_name(f".{folder.name}.replaced")
    shutil.rmtree(replaced, ignore_errors=True)
    if folder.exists():
        folder.rename(replaced)
    partial.rename(folder)
    shutil.rmtree(replaced, ignore_errors=True)


class _Writer:
    """Collects ids and writes them on, so that memory stays bounded however many there are."""

    def __init__(self, folder: Path, *, vocab_size: int, shard_tokens: int) -> None:
        self._folder = folder
        self._vocab_size = vocab_size
        self._shard_tokens = shard_tokens
        self._ids: list[int] = []
        self._marks: list[bool] = []
        self._ends: list[int] = []
        self._has_marks: bool | None = None
        self._num_documents = 0
        self._num_seen = 0
        self._num_written = 0
        self._files: dict[str, _HashedFile] = {}

    def add(self, ids: Ids, marks: Marks | None) -> None:
        ids = ids.tolist() if isinstance(ids, np.ndarray) else ids
        if len(ids) == 0:
            raise DataError(
                f"document {self._num_documents} has no tokens\nLeave empty documents out."
            )
        if self._has_marks is None:
            self._has_marks = marks is not None
        if self._has_marks != (marks is not None):
            raise ValueError("either every document says what is learned from or none does")
        if marks is not None:
            if len(marks) != len(ids):
                raise ValueError(f"{len(marks)} marks for {len(ids)} ids")
            self._marks.extend(marks.tolist() if isinstance(marks, np.ndarray) else marks)
        self._ids.extend(ids)
        self._num_documents += 1
        self._num_seen += len(ids)
        self._ends.append(self._num_seen)
        if len(self._ids) >= BUFFERED_TOKENS:
            self._flush(last=False)

    def finish(self, about: dict[str, str]) -> None:
        if self._num_documents == 0:
            raise DataError("there are no documents to write\nGive data that is not empty.")
        self._flush(last=True)
        manifest = Manifest(
            vocab_size=self._vocab_size,
            num_tokens=self._num_seen,
            num_documents=self._num_documents,
            shard_tokens=self._shard_tokens,
            has_learned=bool(self._has_marks),
            files={name: file.finish() for name, file in sorted(self._files.items())},
            about=about,
        )
        with (self._folder / MANIFEST).open("w", encoding="utf-8") as file:
            file.write(manifest.to_json())
            file.flush()
            os.fsync(file.fileno())

    def close(self) -> None:
        # On a full disk each one fails to write its rest, and is closed all the same.
        with ExitStack() as closing:
            for file in self._files.values():
                closing.callback(file.close)

    def _flush(self, *, last: bool) -> None:
        ids = np.array(self._ids, dtype=np.int64)
        self._check(ids)
        # Bits are written in whole bytes, so up to seven ids wait for the next time.
        writable = len(ids) if last else len(ids) // 8 * 8
        marks = np.array(self._marks, dtype=np.bool_)
        token_type = "<u2" if self._vocab_size <= 1 << 16 else "<u4"
        start = 0
        while start < writable:
            number, place = divmod(self._num_written, self._shard_tokens)
            stop = min(writable, start + self._shard_tokens - place)
            self._append(f"tokens-{number:05}.bin", ids[start:stop].astype(token_type))
            if self._has_marks:
                bits = np.packbits(marks[start:stop], bitorder="little")
                self._append(f"learned-{number:05}.bin", bits)
            self._num_written += stop - start
            start = stop
        begin = [] if "offsets.bin" in self._files else [0]
        self._append("offsets.bin", np.array(begin + self._ends, dtype="<i8"))
        self._ids = self._ids[writable:]
        self._marks = self._marks[writable:]
        self._ends = []

    def _check(self, ids: Int[np.ndarray, " tokens"]) -> None:
        wrong = np.flatnonzero((ids < 0) | (ids >= self._vocab_size))
        if wrong.size:
            raise DataError(
                f"token id {ids[wrong[0]]} is not in the vocabulary (0 to {self._vocab_size - 1})\n"
                "Encode the documents with the tokenizer whose vocabulary size is given."
            )

    def _append(self, name: str, values: Shaped[np.ndarray, " values"]) -> None:
        if name not in self._files:
            self._files[name] = _HashedFile((self._folder / name).open("xb"))
        self._files[name].write(values.tobytes())


class _HashedFile:
    """A file that knows its size and hash when it is closed."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._digest = sha256()
        self._size = 0

    def write(self, content: bytes) -> None:
        self._file.write(content)
        self._digest.update(content)
        self._size += len(content)

    def finish(self) -> dict[str, Any]:
        self._file.flush()
        os.fsync(self._file.fileno())
        return {"size": self._size, "sha256": self._digest.hexdigest()}

    def close(self) -> None:
        self._file.close()
