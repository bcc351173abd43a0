"""Documents from files and folders, one at a time, and their split by a hash of what they say."""

import codecs
import os
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Literal

from cutaway.errors import DataError
from cutaway.text.json_files import (
    checked_text,
    not_utf8,
    read_json_lines,
    reading,
    unix_line_ends,
)

Split = Literal["train", "validation"]

ENDINGS = (".txt", ".jsonl", ".jsonl.gz", ".parquet")
"""What a file of documents may end in."""
MOST_PIECE = 1 << 16
"""The longest piece of a .txt file, in characters."""
LEAST_PIECE = 1 << 12
"""The longest piece of a .txt file that is not long, in characters."""
PIECES_PER_FILE = 64
"""The number of pieces that a .txt file of middling size is cut into."""
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Document:
    """A text and the key that its split is decided by."""

    text: str
    """What it says."""
    key: str
    """What decides its split: equal keys never stand on two sides."""


def split_of(key: str, *, held_out: float = 0.05, salt: str = "") -> Split:
    """Decides by SHA-256 on which side a key stands; `held_out` is the share held out, 0 to 1."""
    return "validation" if _draw(key, salt) < held_out * 2**64 else "train"


def content_key(text: str) -> str:
    """Makes a key from a text; spellings of one text that differ in Unicode form alone share it."""
    return sha256(unicodedata.normalize("NFC", text).encode()).hexdigest()


def read_documents(path: Path) -> Iterator[Document]:
    """Reads a file, or all files of a folder and its folders in the order of their names.

    A .txt file is one document; a longer one is cut where a paragraph ends, so that it can be
    split. The others hold one document per object or row, under "text". Documents without
    any visible character are passed over.
    """
    found = False
    for file in document_files(path):
        for document in _READERS[_ending(file)](file):
            found = True
            yield document
    if not found:
        raise DataError(f"{path} holds no text: it is empty\nGive a file with some text in it.")


def read_split(path: Path, split: Split, *, held_out: float = 0.05) -> Iterator[Document]:
    """Reads one side of a file's or folder's split."""
    side_of = divided((document.key for document in read_documents(path)), held_out=held_out)
    if side_of is None:
        raise DataError(
            f"{path} holds one document only: nothing can be held out to measure with\n"
            f"Give more text: a .txt file is cut into pieces from {LEAST_PIECE} characters on."
        )
    for document in read_documents(path):
        if side_of(document.key) == split:
            yield document


def divided(keys: Iterable[str], *, held_out: float = 0.05) -> Callable[[str], Split] | None:
    """Says on which side each of the keys stands; None where there are not two to be divided.

    Where the hashes hold nothing out, as with a handful of keys, the one with the smallest hash is
    held out. Where they hold everything out, the one with the largest is trained on.
    """
    sides: set[Split] = set()
    lowest = highest = ""
    for key in keys:
        sides.add(split_of(key, held_out=held_out))
        lowest = min(lowest or key, key, key=_draw)
        highest = max(highest or key, key, key=_draw)
        if len(sides) == 2:
            break
    if lowest == highest:
        return None

    def side_of(key: str) -> Split:
        if sides == {"train"} and key == lowest:
            return "validation"
        if sides == {"validation"} and key == highest:
            return "train"
        return split_of(key, held_out=held_out)

    return side_of


def document_files(path: Path) -> list[Path]:
    """Lists the files of documents at a path; hidden files and other endings in folders are not."""
    if path.is_file():
        if _ending(path) is None:
            raise DataError(
                f"{path} does not end in {_spoken_endings()}\n"
                "Rename it to what it is, or convert it."
            )
        return [path]
    if not path.is_dir():
        raise DataError(f"there is no file or folder {path}\nGive the path of your data.")
    files = []
    with reading(path):
        for folder, inner, names in os.walk(path, onerror=_raised):
            inner[:] = sorted(name for name in inner if not name.startswith("."))
            files += [Path(folder, name) for name in names if not name.startswith(".")]
    files = sorted(file for file in files if _ending(file) is not None)
    if not files:
        raise DataError(
            f"the folder {path} has no file that ends in {_spoken_endings()}\n"
            "Put your texts there, or give another folder."
        )
    return files


def _draw(key: str, salt: str = "") -> int:
    """Gives a key its number from 0 to 2**64 - 1."""
    return int.from_bytes(sha256(f"{salt}{key}".encode()).digest()[:8], "big")


def _ending(path: Path) -> str | None:
    return next((ending for ending in ENDINGS if path.name.lower().endswith(ending)), None)


def _spoken_endings() -> str:
    return f"{', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}"


def _raised(error: OSError) -> None:
    raise error


def _document(text: str) -> Iterator[Document]:
    if text and not text.isspace():
        yield Document(text=text, key=content_key(text))


def _read_text(path: Path) -> Iterator[Document]:
    """Cuts the text into pieces that put together are the text."""
    with reading(path):
        size = path.stat().st_size
    limit = min(MOST_PIECE, max(LEAST_PIECE, size // PIECES_PER_FILE))
    waiting = ""
    for block in _text_blocks(path):
        waiting += block
        begin = 0
        while len(waiting) - begin > limit:
            end = _piece_end(waiting, begin, limit=limit)
            yield from _document(waiting[begin:end])
            begin = end
        waiting = waiting[begin:]
    yield from _document(waiting)


def _piece_end(text: str, begin: int, *, limit: int) -> int:
    """Ends a piece after a blank line of its second half; else a line, a word, or where it must."""
    for mark in ("\n\n", "\n", " "):
        place = text.rfind(mark, begin + limit // 2, begin + limit)
        if place >= 0:
            return place + len(mark)
    return begin + limit


def _text_blocks(path: Path) -> Iterator[str]:
    """Decodes a file a mebibyte at a time."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    offset, line, held_back = 0, 1, ""
    with reading(path), path.open("rb") as file:
        while True:
            block = file.read(_BLOCK_BYTES)
            waiting = len(decoder.getstate()[0])
            try:
                text = decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                before = error.object[: error.start]
                place = f"{path}:{line + before.count(0x0A)}"
                byte = error.object[error.start]
                raise not_utf8(byte, place=place, offset=offset - waiting + error.start) from error
            if offset == 0:
                text = text.removeprefix("\ufeff")
            if "\0" in text:
                line += text.count("\n", 0, text.index("\0"))
                raise DataError(
                    f"{path}:{line}: a NUL character; this is not a text file, or it is UTF-16\n"
                    "Save it as UTF-8 text."
                )
            line += text.count("\n")
            offset += len(block)
            # A carriage return may have its line feed in the next block.
            text = held_back + text
            held_back = "\r" if block and text.endswith("\r") else ""
            yield unix_line_ends(text[: len(text) - len(held_back)])
            if not block:
                return


def _read_json_lines(path: Path) -> Iterator[Document]:
    for record in read_json_lines(path):
        yield from _document(record.text("text"))


def _read_parquet(path: Path) -> Iterator[Document]:
    # Imported here because it takes a tenth of a second, and the other endings do without.
    import pyarrow
    import pyarrow.parquet

    try:
        with reading(path), pyarrow.parquet.ParquetFile(path) as file:
            names = file.schema_arrow.names
            if "text" not in names:
                shown = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
                raise DataError(
                    f'{path} has no column "text"; its columns are {shown}\n'
                    'Rename the column with the texts to "text".'
                )
            row = 0
            for batch in file.iter_batches(batch_size=1024, columns=["text"]):
                for value in batch.column(0):
                    row += 1
                    yield from _document(checked_text(value.as_py(), f'{path}: row {row}: "text"'))
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: row {row + 1}: not UTF-8\nWrite its text as UTF-8.") from error
    except pyarrow.ArrowException as error:
        reason = str(error).splitlines()[0][:200]
        raise DataError(f"{path} is not a whole .parquet file: {reason}\nGet it again.") from error


_READERS: dict[str | None, Callable[[Path], Iterator[Document]]] = {
    ".txt": _read_text,
    ".jsonl": _read_json_lines,
    ".jsonl.gz": _read_json_lines,
    ".parquet": _read_parquet,
}
