"""Rows of .jsonl, .jsonl.gz, .csv and .tsv files, each knowing the line on which it stands."""

import csv
import gzip
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cutaway.errors import DataError

ENDINGS = (".jsonl", ".jsonl.gz", ".csv", ".tsv")


@dataclass(frozen=True, kw_only=True)
class Record:
    """One row of a file."""

    path: Path
    """The file."""

    line: int
    """Line on which the row begins, counted from 1."""

    fields: dict[str, Any]
    """Its values by name."""

    def text(self, name: str) -> str:
        """Returns a field that must be a text and not empty.

        Raises:
            DataError: It is missing or something else; the message names the file and the line.
        """
        value = self.fields.get(name)
        if not isinstance(value, str) or not value.strip():
            raise self.error(
                f"field {name!r} is {_shown(value)}; a text that is not empty is needed"
            )
        return value

    def error(self, message: str) -> DataError:
        """Returns an error that says where this row stands."""
        return DataError(f"{self.path}:{self.line}: {message}")


def has_records(path: Path) -> bool:
    """Says whether a file's name ends as one of rows does."""
    return path.name.lower().endswith(ENDINGS)


def read_records(path: Path) -> Iterator[Record]:
    """Yields the rows of a file in order; empty lines are passed over.

    Raises:
        DataError: The file cannot be read, is not UTF-8, or a row is broken.
    """
    if not has_records(path):
        raise DataError(f"{path}: rows are read from files that end in {', '.join(ENDINGS)}")
    try:
        is_packed = path.name.lower().endswith(".gz")
        with gzip.open(path) if is_packed else path.open("rb") as file:
            lines = _lines(path, file)
            if path.name.lower().endswith((".csv", ".tsv")):
                yield from _table(path, lines)
            else:
                yield from _objects(path, lines)
    except (OSError, EOFError) as error:
        raise DataError(f"cannot read {path}: {error}") from error


def _lines(path: Path, file: Iterable[bytes]) -> Iterator[str]:
    for number, line in enumerate(file, start=1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise DataError(
                f"{path}:{number}: not UTF-8 text (byte {error.start + 1} of the line);\n"
                "save the file as UTF-8 and try again"
            ) from error


def _objects(path: Path, lines: Iterable[str]) -> Iterator[Record]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            fields = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            raise DataError(f"{path}:{number}: not a JSON object: {error}") from error
        if not isinstance(fields, dict):
            raise DataError(f"{path}:{number}: {_shown(fields)} is not a JSON object {{...}}")
        yield Record(path=path, line=number, fields=fields)


def _table(path: Path, lines: Iterable[str]) -> Iterator[Record]:
    delimiter = "\t" if path.name.lower().endswith(".tsv") else ","
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    names: list[str] | None = None
    while True:
        first_line = reader.line_num + 1
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise DataError(f"{path}:{reader.line_num}: {error}") from error
        if row is None:
            return
        if not any(cell.strip() for cell in row):
            continue
        if names is None:
            names = [name.strip() for name in row]
            continue
        if len(row) != len(names):
            raise DataError(
                f"{path}:{first_line}: {len(row)} columns, but the first line names {len(names)}: "
                f"{', '.join(names)}"
            )
        yield Record(path=path, line=first_line, fields=dict(zip(names, row, strict=True)))


def _shown(value: Any) -> str:
    """Returns a value as an error shows it: short, and missing instead of None."""
    return "missing" if value is None else repr(value)[:60]
