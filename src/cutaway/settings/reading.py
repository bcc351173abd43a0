"""Reads a config from a recipe and the command line; every refusal says where and what to do.

What comes later wins: the defaults, the recipe, what the command line gives by its place, and
`key=value`.
"""

import itertools
import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from cutaway.errors import ConfigError
from cutaway.settings.fields import (
    ListOf,
    Record,
    Shape,
    defaults_of,
    keys_of,
    shape_at,
    shape_of,
)
from cutaway.settings.toml_text import KeyPath, dotted, lines_of_keys
from cutaway.settings.values import UNKNOWN, Problem, Written, plain, prepared, shortened, shown

Config = TypeVar("Config")

LARGEST_RECIPE = 2**20
"""Bytes; a recipe holds values only, so that a larger file is another one by mistake."""

LONGEST_VALUE = 2**16
"""Characters of one `key=value`."""

MISSING = "is missing"
"""The message of a problem that is told with the meaning of the key."""


@dataclass(frozen=True, kw_only=True)
class _Sources:
    """Where each value came from, for messages."""

    recipe: Path | None
    text: str
    command: tuple[tuple[KeyPath, str], ...]

    def place(self, path: KeyPath) -> str:
        """The command line's words, or the file and the line, that gave the value at a path."""
        for length in range(len(path), 0, -1):
            found = self.given_at(path[:length])
            if found is not None:
                return found
        return "command line" if self.recipe is None else str(self.recipe)

    def given_at(self, path: KeyPath) -> str | None:
        """Where exactly this path was written; nothing where it was not."""
        for key, written in reversed(self.command):
            if path == key:
                return f"command line, `{shortened(written)}`"
        line = lines_of_keys(self.text).get(path)
        return None if line is None else f"{self.recipe}, line {line}"

    def place_of(self, sentence: str, path: KeyPath, keys: Sequence[str]) -> str:
        """Where the first key that a sentence names was written, of those below a path."""
        for word in re.findall(r"[a-z_0-9]+", sentence):
            found = self.given_at((*path, word)) if word in keys else None
            if found is not None:
                return found
        return self.place(path)


def load(
    kind: type[Config],
    *,
    recipe: Path | None = None,
    overrides: Sequence[str] = (),
    given: Mapping[str, Any] = MappingProxyType({}),
) -> Config:
    """The config that a recipe, `key=value` overrides and values given by their place make up.

    Raises:
        ConfigError: a file that cannot be read, an unknown key, a value of another kind, or one
            that the config itself refuses; the message names the file, the line and the way out.
    """
    text, tree = _read(recipe) if recipe is not None else ("", {})
    for key, value in given.items():
        tree[key] = plain(value)
    written = tuple(_split(override, given=given) for override in overrides)
    by_place = tuple(((key,), str(value)) for key, value in given.items())
    sources = _Sources(recipe=recipe, text=text, command=(*by_place, *written))
    for path, value in written:
        _put(tree, path, Written(text=value.split("=", 1)[1]))
    problems: list[Problem] = []
    shape = shape_of(kind)
    values = prepared(tree, shape, (), problems)
    if not problems:
        config = _validated(kind, _completed(values, shape), problems)
        if config is not None:
            return config
    raise ConfigError(_told(problems, kind=kind, sources=sources))


def _read(recipe: Path) -> tuple[str, dict[str, Any]]:
    """The text of a recipe and its tree."""
    if not recipe.is_file():
        raise ConfigError(_not_there(recipe))
    try:
        with recipe.open("rb") as file:
            content = file.read(LARGEST_RECIPE + 1)
    except OSError as error:
        raise ConfigError(f"{recipe}: cannot be read ({error.strerror})") from error
    if len(content) > LARGEST_RECIPE:
        raise ConfigError(
            f"{recipe}: larger than {LARGEST_RECIPE:,} bytes, so it is not a recipe;\n"
            "a recipe holds values only, and names its data with data=PATH"
        )
    try:
        text = content.decode("utf-8").removeprefix("\ufeff").replace("\r\n", "\n")
        return text, tomllib.loads(text)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{recipe}, line {line}: byte {content[error.start]:#04x} is not UTF-8;\n"
            "save the recipe as UTF-8 text"
        ) from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(
            f"{recipe}, line {_line_of(error, content)}: not TOML: {shortened(str(error))}"
        ) from error


def _line_of(error: Exception, content: bytes) -> int:
    """The line that TOML's reader complains of; it says so only in its message."""
    said = re.search(r"at line ([0-9]{1,9})", str(error))
    return int(said[1]) if said else content.rstrip(b"\n").count(b"\n") + 1


def _not_there(recipe: Path) -> str:
    if recipe.exists():
        return f"{recipe}: a recipe is a .toml file, and this is none"
    beside = sorted(path.name for path in recipe.parent.glob("*.toml"))
    near = get_close_matches(recipe.name, beside, n=1, cutoff=0.0)
    advice = f"; did you mean {recipe.parent / near[0]}?" if near else ""
    return f"{recipe}: no such recipe{advice}"


def _split(override: str, *, given: Mapping[str, Any]) -> tuple[KeyPath, str]:
    """The key path of a `key=value`, and its words."""
    key, equals, value = override.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise ConfigError(f"`{shortened(override)}` is not of the form key=value")
    if len(value) > LONGEST_VALUE:
        raise ConfigError(f"`{key}=`: the value is longer than {LONGEST_VALUE:,} characters")
    try:
        override.encode()
    except UnicodeEncodeError:
        raise ConfigError(f"`{shortened(override)}` is not UTF-8") from None
    if key.strip() in given:
        raise ConfigError(
            f"`{key.strip()}` is given twice: by its place ({shown(given[key.strip()])}) "
            f"and as `{shortened(override)}`;\nkeep one of the two"
        )
    return tuple(int(part) if part.isdecimal() else part for part in parts), override


def _put(tree: dict[str, Any], path: KeyPath, value: object) -> None:
    """Sets the value at a path, making the tables on the way that are not there yet."""
    place: Any = tree
    for part, following in itertools.pairwise(path):
        if isinstance(place, dict):
            place = place.setdefault(str(part), {})
        elif isinstance(place, list) and isinstance(part, int) and part < len(place):
            place = place[part]
        else:
            raise ConfigError(f"`{dotted(path)}`: there is nothing under `{part}` to set it in")
        if not isinstance(place, dict | list):
            raise ConfigError(
                f"`{dotted(path)}`: what stands before `.{following}` is "
                f"{shown(place)}, not a table"
            )
    last = path[-1]
    if isinstance(place, dict):
        place[str(last)] = value
    elif isinstance(last, int) and last < len(place):
        place[last] = value
    else:
        raise ConfigError(f"`{dotted(path)}`: the list has {len(place)} elements, counted from 0")


def _completed(values: Any, shape: Shape) -> Any:
    """The values with what is not given of a table taken from the config that its field has else.

    Without it, one key of a table would bring back the class's own defaults for all others.
    """
    if isinstance(values, list) and isinstance(shape, ListOf):
        return [
            _completed(inner, shape.elements[at if shape.fixed else 0])
            for at, inner in enumerate(values)
        ]
    if not (isinstance(values, dict) and isinstance(shape, Record)):
        return values
    completed = {name: _completed(inner, shape.keys[name]) for name, inner in values.items()}
    for name, default in defaults_of(shape.kind).items():
        inner, given = shape.keys[name], completed.get(name)
        if (
            isinstance(given, dict)
            and isinstance(inner, Record)
            and isinstance(default, inner.kind)
        ):
            completed[name] = _filled(given, _as_json(default))
    return completed


def _filled(given: dict[str, Any], default: Mapping[str, Any]) -> dict[str, Any]:
    """A table with a default for each key that is not given, also in the tables within."""
    both = {
        name: _filled(inner, default[name])
        for name, inner in given.items()
        if isinstance(inner, dict) and isinstance(default.get(name), dict)
    }
    return {**default, **given, **both}


def _as_json(config: Any) -> dict[str, Any]:
    from pydantic import TypeAdapter  # slow to import, and no help text needs it

    dumped: dict[str, Any] = TypeAdapter(type(config)).dump_python(config, mode="json")
    return dumped


def _validated(kind: type[Config], values: object, problems: list[Problem]) -> Config | None:
    """The config, built by pydantic: constraints in annotations, then the config's own checks."""
    from pydantic import TypeAdapter, ValidationError  # slow to import, and no help text needs it

    try:
        return TypeAdapter(kind).validate_json(json.dumps(values), strict=True)
    except ValidationError as error:
        for found in error.errors(include_url=False):
            path = _followed(found["loc"], values)
            missing = found["type"] == "missing"
            is_own = found["type"] == "value_error"
            message = found["msg"].removeprefix("Value error, ")
            if missing:
                path, message = (*path, str(found["loc"][-1])), MISSING
            elif not is_own:
                message = f"given {shown(found['input'])}: {message[0].lower()}{message[1:]}"
            problems.append(Problem(path=path, message=message, is_sentence=is_own))
    return None


def _followed(location: Sequence[str | int], tree: object) -> KeyPath:
    """The part of pydantic's location that is really there; the rest names members of unions."""
    path: list[str | int] = []
    for part in location:
        if isinstance(tree, dict) and part in tree:
            tree = tree[str(part)]
        elif isinstance(tree, list) and isinstance(part, int) and part < len(tree):
            tree = tree[part]
        else:
            break
        path.append(part)
    return tuple(path)


def _told(problems: Sequence[Problem], *, kind: type, sources: _Sources) -> str:
    """The first problem in full, and the keys of the others."""
    first, *others = problems
    key = dotted(first.path)
    place = sources.place(first.path)
    if first.is_sentence:
        shape = shape_at(kind, first.path)
        names = list(shape.keys) if isinstance(shape, Record) else []
        place = sources.place_of(first.message, first.path, names)
        message = f"{place}: {first.message}"
    elif first.message == UNKNOWN:
        message = f"{place}: unknown key `{key}`{_advice(first.path, kind)}"
    elif first.message == MISSING:
        general = re.sub(r"\.[0-9]+\.", ".N.", key)
        known = {field.name: field.documentation for field in keys_of(kind)}
        meaning = known.get(general, "")
        message = f"`{key}` is missing: write {key}=...\n{shortened(meaning)}"
    else:
        message = f"{place}: `{key}` {first.message}" if key else f"{place}: {first.message}"
    if others:
        keys = ", ".join(f"`{dotted(problem.path)}`" for problem in others)
        message = f"{message.rstrip()}\nalso wrong: {shortened(keys)}"
    return message.rstrip()


def _advice(path: KeyPath, kind: type) -> str:
    """The nearest key of the config, and the keys that may stand at this place."""
    names = [field.name for field in keys_of(kind)]
    last = str(path[-1])
    shape = shape_at(kind, path[:-1])
    here = list(shape.keys) if isinstance(shape, Record) else []
    before = dotted(path[:-1]) + "." if len(path) > 1 else ""
    near = [before + name for name in get_close_matches(last, here, n=1)]
    near += get_close_matches(dotted(path), names, n=1)
    ends = {name.rsplit(".", 1)[-1]: name for name in reversed(names)}
    near += [ends[end] for end in get_close_matches(last, ends, n=1)]
    near += [name for name in names if name.rsplit(".", 1)[-1] == last]
    advice = f"; did you mean `{near[0]}`?" if near else ""
    allowed = ", ".join(here) or "none"
    return f"{advice}\nkeys allowed {'in `' + before[:-1] + '`' if before else 'here'}: {allowed}"
