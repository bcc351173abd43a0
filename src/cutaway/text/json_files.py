"""JSON objects from .jsonl, .jsonl.gz and .json files, each with the place where it stands.

Every limit here keeps a broken or hostile file from filling the memory; a message says which one.
"""

import codecs
import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

from cutaway.errors import DataError

MOST_LINE_BYTES = 64 << 20
"""The longest line that is read."""
MOST_ARRAY_BYTES = 512 << 20
"""The largest .json file that is read: an array cannot be read line by line."""
MOST_EXPANSION = 200
"""How many times its size a compressed file may grow to; text grows three to ten times."""
FREE_EXPANSION_BYTES = 16 << 20
"""What a compressed file may grow to whatever its size."""

_ARRAY_FORM = "A .json file is one array of objects: [{...}, {...}]."


@dataclass(frozen=True, kw_only=True)
class Record:
    """One JSON object of a file."""

    fields: dict[str, Any]
    """Its values by name."""
    place: str
    """Where it stands, as FILE:LINE, for messages."""

    def text(self, name: str, *, within: dict[str, Any] | None = None, path: str = "") -> str:
        """Gets a text from the object, or from an object inside it that messages call `path`."""
        fields = self.fields if within is None else within
        label = f"{path}.{name}" if path else name
        if name not in fields:
            raise DataError(
                f'{self.place}: no "{label}"; there is {listed(fields)}\n'
                f'Name the text "{name}" in every object.'
            )
        return checked_text(fields[name], f'{self.place}: "{label}"')


def read_json_lines(path: Path) -> Iterator[Record]:
    """Reads a .jsonl or .jsonl.gz file, one object at a time; blank lines are passed over."""
    for number, line in enumerate(read_lines(path), start=1):
        if not line.isspace():
            value = _parsed(
                partial(json.loads, line.rstrip()), path=path, line=number, first_line=number
            )
            yield _record(value, f"{path}:{number}")


def read_json_array(path: Path) -> Iterator[Record]:
    """Reads a .json file that holds one array of objects."""
    text = _array_text(path)
    decode = json.JSONDecoder().raw_decode
    at, line, counted = _skipped(text, 0), 1, 0
    if text[at : at + 1] != "[":
        raise DataError(f"{path}: this is not an array\n{_ARRAY_FORM}")
    at = _skipped(text, at + 1)
    while text[at : at + 1] != "]":
        line += text.count("\n", counted, at)
        counted = at
        value, at = _parsed(partial(decode, text, at), path=path, line=line, first_line=1)
        yield _record(value, f"{path}:{line}")
        at = _skipped(text, at)
        if text[at : at + 1] == ",":
            at = _skipped(text, at + 1)
        elif text[at : at + 1] != "]":
            line += text.count("\n", counted, at)
            raise DataError(f'{path}:{line}: "," or "]" is missing here\n{_ARRAY_FORM}')
    if _skipped(text, at + 1) != len(text):
        raise DataError(f"{path}: there is more after the end of the array\n{_ARRAY_FORM}")


def checked_text(value: object, place: str) -> str:
    """Returns a text that can be encoded, with line feeds alone as line ends."""
    if not isinstance(value, str):
        raise DataError(f"{place} is {_kind(value)}, not a text\nGive a text in quotes.")
    if "\0" in value:
        raise DataError(f"{place} holds a NUL character\nTake it out; texts have none.")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        code = ord(value[error.start])
        raise DataError(
            f"{place} holds half of a surrogate pair (\\u{code:04x}), which is no character\n"
            "Write the character itself, or both halves of the pair."
        ) from error
    return unix_line_ends(value)


def unix_line_ends(text: str) -> str:
    """Makes every line end a single line feed."""
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def decoded(content: bytes, *, place: str, offset: int = 0) -> str:
    """Decodes UTF-8; `offset` is where in its file the content begins."""
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise not_utf8(content[error.start], place=place, offset=offset + error.start) from error


def not_utf8(byte: int, *, place: str, offset: int) -> DataError:
    """Makes the error for a byte that no UTF-8 text has there."""
    hint = " (it may be UTF-16)" if offset == 0 and byte in codecs.BOM_UTF16 else ""
    return DataError(
        f"{place}: not UTF-8: byte 0x{byte:02x} at offset {offset:,} of the file{hint}\n"
        "Save the text as UTF-8, for example: iconv -f ITS_ENCODING -t UTF-8 OLD > NEW"
    )


def listed(fields: dict[str, Any]) -> str:
    """Names the fields of an object for a message, the first eight of them."""
    names = [f'"{name[:40]}"' for name in fields]
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "") if names else "nothing"


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Tells in one sentence why a file cannot be read."""
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            f"{path}: the compressed file is damaged: {error}\nGet it again."
        ) from error
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror or error}\nGive a file that you may read."
        ) from error


def read_lines(path: Path) -> Iterator[str]:
    """Yields the decoded lines, with all limits kept."""
    with reading(path), path.open("rb") as file:
        is_packed = path.name.lower().endswith(".gz")
        lines: IO[bytes] | gzip.GzipFile = gzip.GzipFile(fileobj=file) if is_packed else file
        most = max(FREE_EXPANSION_BYTES, path.stat().st_size * MOST_EXPANSION)
        offset = 0
        number = 1
        while line := lines.readline(MOST_LINE_BYTES + 1):
            place = f"{path}:{number}"
            if len(line) > MOST_LINE_BYTES:
                raise DataError(
                    f"{place}: the line is longer than {MOST_LINE_BYTES:,} bytes\n"
                    "Write one object a line, and split its text."
                )
            if is_packed and offset + len(line) > most:
                raise DataError(
                    f"{path} grows to more than {MOST_EXPANSION} times its size: "
                    "this is no compressed text\nUnpack it yourself if you trust it."
                )
            begin = len(codecs.BOM_UTF8) if number == 1 and line.startswith(codecs.BOM_UTF8) else 0
            yield decoded(line[begin:], place=place, offset=offset + begin)
            offset += len(line)
            number += 1


def _array_text(path: Path) -> str:
    with reading(path):
        size = path.stat().st_size
        if size > MOST_ARRAY_BYTES:
            raise DataError(
                f"{path} has {size:,} bytes; a .json file may have {MOST_ARRAY_BYTES:,}\n"
                "Write it as .jsonl, one object a line: that is read piece by piece."
            )
        content = path.read_bytes()
    return decoded(content, place=str(path)).removeprefix("\ufeff")


def _parsed(parse: Callable[[], Any], *, path: Path, line: int, first_line: int) -> Any:
    """Parses JSON that begins on `line`, as a part of text that begins on `first_line`."""
    try:
        return parse()
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path}:{first_line + error.lineno - 1}: broken JSON: {error.msg} "
            f"(column {error.colno})\n"
            "Mend or remove it; names stand in quotes, and braces are closed."
        ) from error
    except RecursionError as error:
        raise DataError(
            f"{path}:{line}: the JSON is nested too deeply\nRemove it; texts need no such depth."
        ) from error
    except ValueError as error:
        # Python reads no number of more than 4,300 digits.
        raise DataError(
            f"{path}:{line}: a number is too long\nRemove it, or put it in quotes."
        ) from error


def _record(value: object, place: str) -> Record:
    if not isinstance(value, dict):
        raise DataError(
            f'{place}: this is {_kind(value)}, not an object\nWrite it as {{"name": "value"}}.'
        )
    return Record(fields=value, place=place)


def _kind(value: object) -> str:
    names = {type(None): "null", bool: "true or false", str: "a text", list: "a list"}
    return names.get(type(value), "an object" if isinstance(value, dict) else "a number")


def _skipped(text: str, place: int) -> int:
    while place < len(text) and text[place] in " \t\r\n":
        place += 1
    return place
