"""What the fields of a config may hold and what they mean, read from annotations and docstrings."""

import ast
import dataclasses
import inspect
import textwrap
import types
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

WORDS: Mapping[type, str] = types.MappingProxyType(
    {bool: "true or false", int: "a whole number", float: "a number", str: "text", Path: "a path"}
)

NONE = "none"
"""How a key that may be left out is switched off: TOML has no word for nothing."""


@dataclass(frozen=True, kw_only=True)
class Shape(ABC):
    """The kind of value that a field takes."""

    optional: bool = False
    """Whether the field may also hold nothing."""

    @abstractmethod
    def words(self) -> str:
        """What is allowed, in words, for a message."""

    def inside(self, part: str | int) -> "Shape | None":
        """The shape of what stands under a key or at a position, where there can be any."""
        return None

    def described(self) -> str:
        """What is allowed, `none` included where the field may hold nothing."""
        return f"{self.words()}, or none" if self.optional else self.words()


@dataclass(frozen=True, kw_only=True)
class Scalar(Shape):
    """One number, text, path or truth value."""

    kinds: frozenset[type]
    """Which of `WORDS` are taken."""

    choices: tuple[Any, ...] = ()
    """The only values taken; empty: any of the kinds."""

    def words(self) -> str:
        """The choices, or the kinds."""
        if self.choices:
            return "one of " + ", ".join(str(choice) for choice in self.choices)
        return " or ".join(word for kind, word in WORDS.items() if kind in self.kinds)

    def takes_text(self) -> bool:
        """Whether a text can be right here."""
        return bool({str, Path} & self.kinds)


@dataclass(frozen=True, kw_only=True)
class ListOf(Shape):
    """Any number of values of one shape, or a fixed number each with its own."""

    elements: tuple[Shape, ...]
    fixed: bool

    def words(self) -> str:
        """The number of values and their shape."""
        if self.fixed:
            shapes = ", ".join(shape.words() for shape in self.elements)
            return f"a list of {len(self.elements)}: {shapes}"
        return f"a list, each {self.elements[0].words()}"

    def inside(self, part: str | int) -> Shape | None:
        """The shape at a position."""
        if not isinstance(part, int):
            return None
        if not self.fixed:
            return self.elements[0]
        return self.elements[part] if part < len(self.elements) else None


@dataclass(frozen=True, kw_only=True)
class TableOf(Shape):
    """Free keys, all with values of one shape."""

    value: Shape

    def words(self) -> str:
        """That keys are free, and the shape of the values."""
        return f"a table, each value {self.value.words()}"

    def inside(self, part: str | int) -> Shape | None:
        """The shape of every value."""
        return self.value


@dataclass(frozen=True, kw_only=True)
class Record(Shape):
    """A nested config: a table with known keys."""

    kind: type
    keys: Mapping[str, Shape]

    def words(self) -> str:
        """The keys of the table."""
        return f"a table with the keys {', '.join(self.keys)}"

    def inside(self, part: str | int) -> Shape | None:
        """The shape of the field of that name."""
        return self.keys.get(part) if isinstance(part, str) else None


@dataclass(frozen=True, kw_only=True)
class Field:
    """One key of a config, as a help text shows it."""

    name: str
    """Dotted: `model.width`; in a list of tables with N for the place: `mixture.N.share`."""

    allowed: str
    default: object
    """`dataclasses.MISSING` where the key must be given."""

    documentation: str

    is_table: bool = False
    """Whether it stands for a table, or a list of tables, whose keys come next."""


def shape_of(annotation: Any) -> Shape:
    """The shape that an annotation describes.

    Raises:
        TypeError: the annotation is of a kind that no config may use.
    """
    shape = _required_shape(annotation)
    members = _members(annotation)
    if type(None) in members and isinstance(shape, Scalar) and NONE in shape.choices:
        raise TypeError(f"{annotation}: the choice {NONE!r} could not be told from nothing")
    return dataclasses.replace(shape, optional=type(None) in members)


def shape_at(kind: type, path: Sequence[str | int]) -> Shape | None:
    """The shape at a key path of a config; nothing where the config has no such place."""
    shape: Shape | None = shape_of(kind)
    for part in path:
        shape = shape.inside(part) if shape is not None else None
    return shape


def field_documentation(kind: type) -> dict[str, str]:
    """The docstring under each field of a dataclass, those of its parents included."""
    found: dict[str, str] = {}
    for parent in reversed(kind.__mro__):
        if dataclasses.is_dataclass(parent):
            found.update(_docstrings(parent))
    return {field.name: found.get(field.name, "") for field in dataclasses.fields(kind)}


def defaults_of(kind: type) -> dict[str, object]:
    """What each field of a config is where nothing is given; `MISSING` where it must be given."""
    return {
        field.name: field.default
        if field.default_factory is dataclasses.MISSING
        else field.default_factory()
        for field in dataclasses.fields(kind)
    }


def keys_of(kind: type, prefix: str = "", *, within: object = None) -> tuple[Field, ...]:
    """Every key of a config, those of its nested tables under their dotted names.

    A nested table has the defaults of the config that stands in its field, which may choose others
    than its class; `within` is that config.
    """
    shape = shape_of(kind)
    assert isinstance(shape, Record)
    documentation = field_documentation(kind)
    keys: list[Field] = []
    for field in dataclasses.fields(kind):
        inner = shape.keys[field.name]
        default = defaults_of(kind)[field.name]
        if within is not None:
            default = getattr(within, field.name)
        table, place = inner, f"{prefix}{field.name}."
        if isinstance(inner, ListOf) and not inner.fixed:
            table, place = inner.elements[0], f"{place}N."
        keys.append(
            Field(
                name=prefix + field.name,
                allowed=inner.described(),
                default=default,
                documentation=documentation[field.name],
                is_table=isinstance(table, Record),
            )
        )
        if isinstance(table, Record):
            keys.extend(
                keys_of(
                    table.kind, place, within=default if isinstance(default, table.kind) else None
                )
            )
    return tuple(keys)


def _required_shape(annotation: Any) -> Shape:
    members = [member for member in _members(annotation) if member is not type(None)]
    literals = [member for member in members if get_origin(member) is Literal]
    if members and all(member in WORDS for member in members):
        return Scalar(kinds=frozenset(members))
    if members and len(literals) == len(members):
        choices = tuple(choice for literal in literals for choice in get_args(literal))
        return Scalar(kinds=frozenset(type(choice) for choice in choices), choices=choices)
    if len(members) == 1:
        (member,) = members
        origin, arguments = get_origin(member), get_args(member)
        if isinstance(member, type) and dataclasses.is_dataclass(member):
            return Record(kind=member, keys=_shapes_of_fields(member))
        if origin is tuple and arguments[-1] is not Ellipsis:
            return ListOf(elements=tuple(map(shape_of, arguments)), fixed=True)
        if origin in (tuple, list, Sequence):
            return ListOf(elements=(shape_of(arguments[0]),), fixed=False)
        if origin in (dict, Mapping) and arguments[0] is str:
            return TableOf(value=shape_of(arguments[1]))
    raise TypeError(f"a config cannot hold {annotation!r}")


def _shapes_of_fields(kind: type) -> dict[str, Shape]:
    hints = get_type_hints(kind, include_extras=True)
    return {field.name: shape_of(hints[field.name]) for field in dataclasses.fields(kind)}


def _members(annotation: Any) -> list[Any]:
    """The members of a union, without the constraints that are annotated on them."""
    if get_origin(annotation) is Annotated:
        return _members(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return [inner for member in get_args(annotation) for inner in _members(member)]
    return [annotation]


def _docstrings(kind: type) -> dict[str, str]:
    """The texts that stand directly under the annotated names of a class body."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(definition, ast.ClassDef)
    found: dict[str, str] = {}
    for statement, below in zip(definition.body, definition.body[1:], strict=False):
        match statement, below:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                found[name] = " ".join(inspect.cleandoc(text).split())
    return found
