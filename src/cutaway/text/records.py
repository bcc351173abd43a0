"""Rows of .jsonl, .jsonl.gz, .csv and .tsv files, each knowing the line on which it stands."""

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path

from cutaway.errors import DataError
from cutaway.text.json_files import Record, decoded, read_json_lines, reading

TABLES = {".csv": ",", ".tsv": "\t"}
"""What parts the columns, by ending."""

ENDINGS = (".jsonl", ".jsonl.gz", *TABLES)


def has_records(path: Path) -> bool:
    """Says whether a file's name ends as one of rows does."""
    return path.name.lower().endswith(ENDINGS)


def read_records(path: Path) -> Iterator[Record]:
    """Yields the rows of a file in order; empty lines are passed over.

    Raises:
        DataError: The file cannot be read, is not UTF-8, has another ending, or a row is broken.
    """
    if not has_records(path):
        raise DataError(f"{path}: rows are read from files that end in {', '.join(ENDINGS)}")
    delimiter = TABLES.get(path.suffix.lower())
    yield from read_json_lines(path) if delimiter is None else _table(path, delimiter=delimiter)


def filled(record: Record, name: str) -> str:
    """Returns a field that must be a text with something in it.

    Raises:
        DataError: It is missing, of another kind, or empty; the message names the place.
    """
    text = record.text(name)
    if not text.strip():
        raise DataError(f'{record.place}: "{name}" is empty\nGive a text, or leave the row out.')
    return text


def _table(path: Path, *, delimiter: str) -> Iterator[Record]:
    with reading(path):
        content = path.read_bytes()
    # The end of a line is kept as it is: it may stand inside a cell.
    lines = decoded(content, place=str(path)).removeprefix("\ufeff").splitlines(keepends=True)
    yield from _rows(path, lines, delimiter=delimiter)


def _rows(path: Path, lines: Iterable[str], *, delimiter: str) -> Iterator[Record]:
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    names: list[str] | None = None
    while True:
        place = f"{path}:{reader.line_num + 1}"
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
                f"{place}: {len(row)} columns, but the first line names {len(names)}: "
                f"{', '.join(names)}"
            )
        yield Record(fields=dict(zip(names, row, strict=True)), place=place)
