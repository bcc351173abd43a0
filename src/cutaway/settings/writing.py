"""Writes a config as TOML, every key resolved, and says what differs between two of them."""

import tomllib
from pathlib import Path
from typing import Any

from cutaway.settings.fields import NONE, ListOf, Record, Shape, TableOf, shape_of
from cutaway.settings.toml_text import KeyPath, dotted, write_toml
from cutaway.settings.values import shown


def dump(config: Any) -> str:
    """The TOML text of a config with every key resolved; `load` makes an equal config of it.

    Raises:
        ValueError: a value that TOML cannot hold, such as a number that is not finite.
    """
    tree = _tree(config, shape_of(type(config)))
    assert isinstance(tree, dict)
    return write_toml(tree)


def differences(before: str, after: str) -> tuple[str, ...]:
    """What differs between two dumped configs, one sentence for each key."""
    old, new = _flat(tomllib.loads(before), ()), _flat(tomllib.loads(after), ())
    return tuple(
        f"`{dotted(path)}` was {shown(old.get(path))} and is now {shown(new.get(path))}"
        for path in [*old, *(path for path in new if path not in old)]
        if old.get(path) != new.get(path) or (path in old) != (path in new)
    )


def _tree(value: Any, shape: Shape) -> Any:
    """A config as nested tables, with `none` for what is switched off."""
    if value is None:
        return NONE
    if isinstance(shape, Record):
        return {name: _tree(getattr(value, name), inner) for name, inner in shape.keys.items()}
    if isinstance(shape, TableOf):
        return {name: _tree(inner, shape.value) for name, inner in value.items()}
    if isinstance(shape, ListOf):
        return [
            _tree(inner, shape.elements[at if shape.fixed else 0]) for at, inner in enumerate(value)
        ]
    if isinstance(value, Path):
        value = f"./{value}" if str(value) == NONE and shape.optional else str(value)
    if value == NONE and shape.optional:
        raise ValueError(f"the text {NONE!r} cannot be told from nothing in an optional key")
    return value


def _flat(tree: object, path: KeyPath) -> dict[KeyPath, object]:
    if isinstance(tree, dict) and (tree or not path):
        return {
            key: value
            for name, inner in tree.items()
            for key, value in _flat(inner, (*path, name)).items()
        }
    return {path: tree}
