"""TOML as text: the line on which each key stands, and a writer (toml.io, version 1.0)."""

import math
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

KeyPath = tuple[str | int, ...]
"""The way to a value: names of keys, and positions in arrays of tables."""

QUOTES = ('"""', "'''", '"', "'")
BARE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")


def lines_of_keys(text: str) -> dict[KeyPath, int]:
    """The line, counted from one, on which each key and table header of a valid TOML text stands.

    Keys inside an inline table stand on the line of the key that holds the table.
    """
    lines: dict[KeyPath, int] = {}
    counts: dict[KeyPath, int] = {}
    table: KeyPath = ()
    unclosed = ""
    for number, line in enumerate(text.split("\n"), start=1):
        start = line.strip()
        if unclosed:
            unclosed = _left_open(line, unclosed)
        elif start.startswith("[["):
            header = _inside_arrays(_names(start[2 : _end_of_header(start)]), counts)
            counts[header] = counts.get(header, 0) + 1
            table = (*header, counts[header] - 1)
            lines.setdefault(header, number)
            lines[table] = number
        elif start.startswith("["):
            table = _inside_arrays(_names(start[1 : _end_of_header(start)]), counts)
            lines.setdefault(table, number)
        elif start and not start.startswith("#"):
            equals = _outside_quotes(start, "=")
            for length in range(1, len(names := _names(start[:equals])) + 1):
                lines.setdefault((*table, *names[:length]), number)
            unclosed = _left_open(start[equals + 1 :], "")
    return lines


def write_toml(tree: Mapping[str, object]) -> str:
    """The TOML text of nested mappings, sequences, texts, numbers, truth values and paths."""
    return "".join(_table_lines(tree, ())).lstrip("\n")


def quoted(text: str) -> str:
    """A text as a TOML string on one line."""
    return '"' + "".join(_escaped(character) for character in text) + '"'


def dotted(path: Sequence[str | int]) -> str:
    """A key path as a person writes it: `model.width`, `sources.0.share`."""
    return ".".join(_key(part) if isinstance(part, str) else str(part) for part in path)


def _table_lines(table: Mapping[str, object], path: tuple[str, ...]) -> list[str]:
    """The table's own values first, then its tables: a value below a header would belong to it."""
    lines: list[str] = []
    deeper: list[str] = []
    for name, value in table.items():
        inner = (*path, name)
        if isinstance(value, Mapping):
            deeper.append(f"\n[{dotted(inner)}]\n")
            deeper.extend(_table_lines(value, inner))
        elif isinstance(value, list | tuple) and _holds_tables(value):
            for element in value:
                deeper.append(f"\n[[{dotted(inner)}]]\n")
                deeper.extend(_table_lines(element, inner))
        else:
            lines.append(f"{_key(name)} = {_value(value)}\n")
    return lines + deeper


def _holds_tables(values: Sequence[object]) -> bool:
    return len(values) > 0 and all(isinstance(value, Mapping) for value in values)


def _value(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float() if math.isfinite(value):
            return repr(float(value))
        case str():
            return quoted(value)
        case Path():
            return quoted(str(value))
        case list() | tuple():
            return "[" + ", ".join(_value(element) for element in value) + "]"
        case _:
            raise ValueError(f"TOML here has no form for {value!r}; finite numbers and texts only")


def _key(name: str) -> str:
    return name if name and set(name) <= BARE else quoted(name)


def _escaped(character: str) -> str:
    match character:
        case '"' | "\\":
            return "\\" + character
        case "\n":
            return "\\n"
        case "\t":
            return "\\t"
    code = ord(character)
    if 0xD800 <= code <= 0xDFFF:
        raise ValueError(f"half of a surrogate pair ({code:#x}) cannot be written as UTF-8")
    return f"\\u{code:04x}" if code < 0x20 or 0x7F <= code < 0xA0 else character


def _names(text: str) -> tuple[str, ...]:
    """The parts of a dotted key, quoted ones included; TOML's own reader splits them."""
    names: list[str] = []
    tree: object = tomllib.loads(f"{text.strip()} = 0")
    while isinstance(tree, dict):
        (name,) = tree
        names.append(name)
        tree = tree[name]
    return tuple(names)


def _inside_arrays(names: tuple[str, ...], counts: Mapping[KeyPath, int]) -> KeyPath:
    """Puts the current position behind each name on the way that is an array of tables."""
    path: KeyPath = ()
    for position, name in enumerate(names):
        path = (*path, name)
        if path in counts and position < len(names) - 1:
            path = (*path, counts[path] - 1)
    return path


def _end_of_header(line: str) -> int:
    return _outside_quotes(line, "]")


def _outside_quotes(line: str, wanted: str) -> int:
    """Where a character first stands outside of quotes; the line's length if nowhere."""
    quote = ""
    position = 0
    while position < len(line):
        character = line[position]
        if quote:
            position += character == "\\" and quote == '"'
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        elif character == wanted:
            return position
        position += 1
    return len(line)


def _left_open(line: str, unclosed: str) -> str:
    """The brackets, and last the triple quotes, that are still open at the end of a line.

    `unclosed` holds one character for each: a bracket, or `d` and `s` for the double and the
    single triple quotes.
    """
    triple = {"d": '"""', "s": "'''"}
    position = 0
    while position < len(line):
        if unclosed[-1:] in triple:
            mark = triple[unclosed[-1]]
            if mark == '"""' and line[position] == "\\":
                position += 2
            elif line.startswith(mark, position):
                position += 3
                while line.startswith(mark[0], position):
                    position += 1
                unclosed = unclosed[:-1]
            else:
                position += 1
            continue
        character = line[position]
        if character == "#":
            break
        if character in "[{":
            unclosed += character
        elif character in "]}":
            unclosed = unclosed[:-1]
        elif character in "\"'" and line.startswith(character * 3, position):
            unclosed += "d" if character == '"' else "s"
            position += 3
            continue
        elif character in "\"'":
            position += 1 + _end_of_string(line[position + 1 :], character)
        position += 1
    return unclosed


def _end_of_string(rest: str, quote: str) -> int:
    position = 0
    while position < len(rest) and rest[position] != quote:
        position += 2 if rest[position] == "\\" and quote == '"' else 1
    return position
