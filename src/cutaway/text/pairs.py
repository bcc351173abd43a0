"""Pairs of texts, one to be read and one to be written: from rows, or from two files line by line.

Rows have the fields "source" and "target" (.jsonl, .jsonl.gz, .csv, .tsv). Parallel files differ in
the language that their names end in (`train.de` and `train.en`, either with .gz after it), and line
n of the one is line n of the other.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cutaway.errors import DataError
from cutaway.text.documents import Split, content_key, divided
from cutaway.text.json_files import checked_text, read_lines
from cutaway.text.records import filled, has_records, read_records

PACKED = ".gz"


@dataclass(frozen=True, kw_only=True)
class Pair:
    """The same thing said in two languages or versions."""

    source: str
    """The text to read."""
    target: str
    """The text to write."""
    key: str
    """What the split is decided by."""
    others: tuple[str, ...] = ()
    """Further targets that are right, too."""
    place: str = ""
    """Where it stands, as FILE:LINE; nothing where no file of the user's holds it."""


@dataclass(frozen=True, kw_only=True)
class ParallelFiles:
    """Two files whose lines belong together."""

    source: Path
    target: Path


def read_pairs(path: Path, *, target: str | None = None) -> Iterator[Pair]:
    """Yields the pairs of a file of rows, or of a file and the one beside it in another language.

    `target` is the ending of the other file; None: there is one other only.

    Raises:
        DataError: A file is missing or broken, a side is empty, or one file has more lines.
    """
    found = False
    for pair in _rows(path) if has_records(path) else _lines(parallel_files(path, target=target)):
        found = True
        yield pair
    if not found:
        raise DataError(f"{path} holds no pairs: it is empty\nGive a file with some pairs in it.")


def read_split(path: Path, split: Split, *, target: str | None = None) -> Iterator[Pair]:
    """Yields one side of the split of a user's own pairs: by a hash of the source."""
    side_of = divided(pair.key for pair in read_pairs(path, target=target))
    if side_of is None:
        raise DataError(
            f"{path} holds one pair only: nothing can be held out to measure with\nGive more pairs."
        )
    for pair in read_pairs(path, target=target):
        if side_of(pair.key) == split:
            yield pair


def parallel_files(path: Path, *, target: str | None) -> ParallelFiles:
    """Finds the file beside `path` that differs in its language alone.

    Raises:
        DataError: It is not there, or several are and none was asked for.
    """
    name = path.name.removesuffix(PACKED)
    stem, dot, language = name.rpartition(".")
    if not path.is_file() or not dot or not language:
        raise DataError(
            f"{path}: pairs are read from rows (.jsonl, .jsonl.gz, .csv, .tsv) or from files whose "
            "names end in their language\n"
            "Give such a file: pairs.csv, or train.de with train.en beside it."
        )
    others = {
        other.name.removesuffix(PACKED).rpartition(".")[2]: other
        for other in sorted(path.parent.glob(f"{stem}.*"))
        if other.name.removesuffix(PACKED).rpartition(".")[0] == stem and other != path
    }
    others.pop(language, None)
    if target is not None and target in others:
        return ParallelFiles(source=path, target=others[target])
    if target is None and len(others) == 1:
        return ParallelFiles(source=path, target=next(iter(others.values())))
    there = ", ".join(sorted(others)) or "none"
    wanted = f"{stem}.{target}" if target else "one file of another language"
    raise DataError(
        f"{path} has no partner: {wanted} is needed beside it; there is: {there}\n"
        "Say which with pairs.target=LANGUAGE, or put the file there."
    )


def _rows(path: Path) -> Iterator[Pair]:
    for record in read_records(path):
        source, target = filled(record, "source"), filled(record, "target")
        yield Pair(source=source, target=target, key=content_key(source), place=record.place)


def _lines(files: ParallelFiles) -> Iterator[Pair]:
    sources, targets = read_lines(files.source), read_lines(files.target)
    number = 0
    while True:
        number += 1
        source, target = next(sources, None), next(targets, None)
        if source is None and target is None:
            return
        if source is None or target is None:
            short, long = (
                (files.source, files.target) if source is None else (files.target, files.source)
            )
            raise DataError(
                f"{long}:{number}: this line has no partner: {short} ends with line {number - 1}\n"
                "Line n of the one file is the translation of line n of the other: "
                "give both the same number of lines."
            )
        source, target = (
            _side(text, place=f"{file}:{number}")
            for text, file in ((source, files.source), (target, files.target))
        )
        place = f"{files.source}:{number}"
        yield Pair(source=source, target=target, key=content_key(source), place=place)


def _side(text: str, *, place: str) -> str:
    text = checked_text(text, place).strip()
    if not text:
        raise DataError(
            f"{place}: the line is empty\nEvery line has a translation; take the line out of both."
        )
    return text
