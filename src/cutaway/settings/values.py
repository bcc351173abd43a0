"""Brings what a recipe or a command line gives to the shape of its field, or says what is wrong.

Values keep their kind: a text is never read as a number, nor a number as a text.
"""

import dataclasses
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from cutaway.settings.fields import NONE, ListOf, Record, Scalar, Shape, TableOf
from cutaway.settings.toml_text import KeyPath, quoted

DEEPEST = 16
"""Tables in tables and lists in lists; a config is flatter than this."""

LARGEST_INTEGER = 2**63 - 1

UNKNOWN = "is unknown"
"""The message of a problem that is told with the nearest keys."""


@dataclass(frozen=True, kw_only=True)
class Written:
    """What stands behind the `=` on a command line; only its field knows how to read it."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Exactly:
    """A text that the command line gives by its place: taken as it is, also when it is `none`."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What is wrong with the value at a key path."""

    path: KeyPath
    message: str
    is_sentence: bool = False
    """Whether the message says by itself which keys it is about."""


def plain(value: object) -> object:
    """What a stage gives, as TOML would hold it; texts are marked to be taken exactly."""
    match value:
        case str() | Path():
            return Exactly(text=str(value))
        case list() | tuple():
            return [plain(element) for element in value]
        case Mapping():
            return {str(key): plain(element) for key, element in value.items()}
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return {
                field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)
            }
    return value


def prepared(value: Any, shape: Shape, path: KeyPath, problems: list[Problem]) -> Any:
    """The value as JSON would hold it, checked against the shape of its field."""
    if isinstance(value, Written):
        value = _as_written(value.text, shape)
    if value is None or (value == NONE and shape.optional):
        return None
    if len(path) > DEEPEST:
        problems.append(Problem(path=path, message="tables or lists are nested too deeply"))
        return None
    match value, shape:
        case dict(), Record():
            problems.extend(
                Problem(path=(*path, key), message=UNKNOWN)
                for key in value
                if key not in shape.keys
            )
            return {
                key: prepared(inner, shape.keys[key], (*path, key), problems)
                for key, inner in value.items()
                if key in shape.keys
            }
        case dict(), TableOf():
            return {
                key: prepared(inner, shape.value, (*path, key), problems)
                for key, inner in value.items()
            }
        case list(), ListOf() if not shape.fixed or len(value) == len(shape.elements):
            return [
                prepared(inner, shape.elements[0 if not shape.fixed else at], (*path, at), problems)
                for at, inner in enumerate(value)
            ]
        case Exactly(), Scalar() if shape.takes_text():
            return _chosen(value.text, shape, path, problems)
        case ((bool() | int() | float() | str()), Scalar()) if _is_of_kind(value, shape):
            return _chosen(value, shape, path, problems)
    problems.append(Problem(path=path, message=_refused(value, shape)))
    return None


def _chosen(value: object, shape: Scalar, path: KeyPath, problems: list[Problem]) -> object:
    if value == "" and shape.kinds == {Path}:
        problems.append(Problem(path=path, message=_refused(value, shape)))
    if shape.choices and value not in shape.choices:
        near = get_close_matches(str(value), [str(choice) for choice in shape.choices], n=1)
        advice = f"; did you mean {near[0]}?" if near else ""
        problems.append(Problem(path=path, message=_refused(value, shape) + advice))
    return value


def _is_of_kind(value: object, shape: Scalar) -> bool:
    """Whether a number, text or truth value may stand here; a truth value is no number."""
    match value:
        case bool():
            return bool in shape.kinds
        case int():
            return bool({int, float} & shape.kinds) and abs(value) <= LARGEST_INTEGER
        case float():
            return float in shape.kinds and math.isfinite(value)
    return shape.takes_text()


def _as_written(text: str, shape: Shape) -> object:
    """The value that `key=text` means for a field: TOML where that fits, else the text itself."""
    try:
        tree = tomllib.loads(f"value = {text}")
        value = tree["value"] if set(tree) == {"value"} else text
    except (ValueError, RecursionError):
        value = text
    if isinstance(shape, ListOf) and isinstance(value, str):
        value = value.removeprefix("[").removesuffix("]")
        return [Written(text=part.strip()) for part in value.split(",") if part.strip()]
    if isinstance(shape, ListOf) and not isinstance(value, list | dict):
        return [Written(text=text)]
    if isinstance(shape, Scalar) and not isinstance(value, str):
        if isinstance(value, float) and value.is_integer() and shape.kinds == {int}:
            return int(value)
        fits = isinstance(value, bool | int | float) and _is_of_kind(value, shape)
        if shape.takes_text() and not fits:
            return text
    if isinstance(shape, Scalar) and Path in shape.kinds and text.startswith("~/"):
        return str(Path(text).expanduser())  # a shell does this only for words that begin so
    return value


def _refused(value: object, shape: Shape) -> str:
    limit = ""
    match value, shape:
        case int(), Scalar() if abs(value) > LARGEST_INTEGER and int in shape.kinds:
            limit = f" of at most {LARGEST_INTEGER:,}"
        case float(), Scalar() if not math.isfinite(value) and float in shape.kinds:
            limit = " that is finite"
    return f"was given {shown(value)}; allowed is {shape.described()}{limit}"


def shown(value: object) -> str:
    """A value and its kind, in a few words."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case int():
            return f"the whole number {shortened(str(value))}"
        case float():
            return f"the number {value}"
        case str() | Path():
            return f"the text {quoted(shortened(str(value)))}"
        case Exactly():
            return shown(value.text)
        case dict():
            return f"a table with the keys {shortened(', '.join(value))}" if value else "a table"
        case list() | tuple():
            return f"a list of {len(value)}"
    return f"{value} (a {type(value).__name__})"


def shortened(text: str, length: int = 160) -> str:
    """A text on one line, cut where it is longer than a message can bear."""
    text = " ".join(text.split())
    return text if len(text) <= length else text[: length - 1] + "…"
