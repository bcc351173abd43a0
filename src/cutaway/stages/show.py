"""`cutaway show gpt2`: one model with all its parts as a single file to read, and to run.

The file holds what the model uses and nothing else, parts first, as they stand in the package.
"""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cutaway.errors import UsageError

if TYPE_CHECKING:
    from cutaway.console import Console

POSITIONAL: tuple[str, ...] = ("model",)
HAS_PRODUCT = True

PACKAGE = "cutaway"
ROOT = Path(__file__).parent.parent
RULE = "# " + "─" * 98


@dataclass(frozen=True, kw_only=True)
class Config:
    """What is shown."""

    model: str = ""
    """An architecture of the catalog (llama) or a published size (gpt2-xl); empty: their names."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """What the file holds."""

    model: str
    """The name that was asked for."""
    parts: tuple[str, ...]
    """Every definition in the file, in its order, as module and name."""
    lines: int
    """Lines of the file."""


def run(config: Config, *, console: "Console") -> Report | None:
    """Prints the file; without a name, prints the names."""
    from cutaway.models.catalog import CATALOG, PUBLISHED

    names = [*CATALOG, *PUBLISHED]
    if not config.model:
        console.table(
            "Models that can be shown",
            columns=("architecture", "published sizes"),
            rows=[
                (
                    name,
                    ", ".join(
                        each for each, sizes in PUBLISHED.items() if type(sizes) is kind.config
                    ),
                )
                for name, kind in CATALOG.items()
            ],
        )
        return None
    if config.model not in names:
        near = get_close_matches(config.model, names, n=1)
        advice = f"; did you mean {near[0]}?" if near else ""
        raise UsageError(
            f"no model is called {config.model[:80]!r}{advice}\nmodels: {', '.join(names)}"
        )
    sizes: object | None = PUBLISHED.get(config.model)
    kind = next(
        kind for name, kind in CATALOG.items() if name == config.model or type(sizes) is kind.config
    )
    file = one_file(kind.model, kind.config, sizes=sizes, name=config.model)
    console.product(file.text, end="")
    return Report(
        model=config.model,
        parts=tuple(f"{part.module}.{part.name}" for part in file.parts),
        lines=file.text.count("\n"),
    )


@dataclass(frozen=True, kw_only=True)
class OneFile:
    """A model and its parts in one text."""

    text: str
    parts: tuple["Part", ...]


def one_file(model: type, config: type, *, sizes: object | None, name: str) -> OneFile:
    """Everything that a model and its config use of the package, in one text that runs alone.

    `sizes`, an instance of the config, is written at the end as `SIZES`.
    """
    package = Package()
    for root in (config, model):
        package.need(root.__module__, root.__name__)
    parts = package.in_order()
    _refuse_equal_names(parts)
    pieces = [f'"""{name}: the model with all its parts, as `cutaway show {name}` prints it."""\n']
    pieces.append("\n".join(package.imports(parts)) + "\n")
    module = ""
    for part in parts:
        if part.module != module:
            module = part.module
            pieces.append(f"\n{RULE}\n# {package.module(module).headline}\n")
        pieces.append(("\n" if part.is_block else "") + package.source(part) + "\n")
    if sizes is not None:
        pieces.append(f"\n{RULE}\n# The sizes of {name}.\n\n{_written(sizes)}\n{_count(model)}")
    return OneFile(text="\n".join(pieces), parts=tuple(parts))


@dataclass(frozen=True, kw_only=True)
class Part:
    """A definition at the top of a module: a class, a function or a constant."""

    module: str
    name: str
    nodes: tuple[ast.stmt, ...] = field(repr=False, compare=False)
    """Its statement, and the docstring below a constant."""

    @property
    def is_block(self) -> bool:
        """Whether it is a class or a function."""
        return isinstance(self.nodes[0], ast.ClassDef | ast.FunctionDef)


@dataclass(frozen=True, kw_only=True)
class Import:
    """What a name in a module stands for when it was imported."""

    module: str
    name: str | None
    """None: the module itself."""


class Module:
    """A module as text and tree."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.text = _file_of(name).read_text(encoding="utf-8")
        self.tree = ast.parse(self.text)
        self.lines = self.text.splitlines()

    @property
    def headline(self) -> str:
        """Its path in the package, and the sentence that it begins with."""
        about = (ast.get_docstring(self.tree) or "").split("\n\n")[0].replace("\n", " ")
        return f"{self.name.replace('.', '/')}.py: {about}"

    @cached_property
    def parts(self) -> dict[str, Part]:
        """What it defines, by name, in its order."""
        found: dict[str, Part] = {}
        body = self.tree.body
        for node, following in zip(body, [*body[1:], None], strict=True):
            for name in _defined(node):
                nodes = [node]
                if not isinstance(node, ast.ClassDef | ast.FunctionDef) and _is_text(following):
                    nodes.append(following)  # type: ignore[arg-type]
                found[name] = Part(module=self.name, name=name, nodes=tuple(nodes))
        return found

    @cached_property
    def imports(self) -> dict[str, Import]:
        """What it imports, by the name it has here."""
        found: dict[str, Import] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for each in node.names:
                    found[each.asname or each.name] = Import(module=each.name, name=None)
            elif isinstance(node, ast.ImportFrom) and node.module:
                for each in node.names:
                    inner = f"{node.module}.{each.name}"
                    if _is_ours(inner) and _file_of(inner).is_file():
                        found[each.asname or each.name] = Import(module=inner, name=None)
                    else:
                        found[each.asname or each.name] = Import(module=node.module, name=each.name)
        return found

    def source(self, part: Part) -> str:
        """The text of a part, with decorators and the comment right above it."""
        first, last = part.nodes[0], part.nodes[-1]
        decorators = getattr(first, "decorator_list", [])
        start = min([first.lineno, *(each.lineno for each in decorators)]) - 1
        while start > 0 and self.lines[start - 1].startswith("#"):
            start -= 1
        return "\n".join(self.lines[start : last.end_lineno])


class Package:
    """The parts that were asked for, with all that these use."""

    def __init__(self) -> None:
        self._modules: dict[str, Module] = {}
        self._needed: dict[tuple[str, str], Part] = {}

    def module(self, name: str) -> Module:
        """A module, read once."""
        if name not in self._modules:
            self._modules[name] = Module(name)
        return self._modules[name]

    def need(self, module: str, name: str) -> None:
        """Takes a definition in, and everything of the package that it uses."""
        if (module, name) not in self._needed:
            part = self._needed[(module, name)] = self.module(module).parts[name]
            for where, what in self._uses(part):
                if _is_ours(where):
                    self.need(where, str(what))

    def in_order(self) -> list[Part]:
        """The parts, those that others use first; within a module in the module's order."""
        modules: dict[str, list[Part]] = {}

        def visit(module: str) -> None:
            if module not in modules:
                modules[module] = []
                parts = self.module(module).parts.items()
                used = [part for name, part in parts if (module, name) in self._needed]
                for part in used:
                    for where, _ in self._uses(part):
                        if _is_ours(where):
                            visit(where)
                ordered.extend(used)

        ordered: list[Part] = []
        for module, _ in list(self._needed):
            visit(module)
        return ordered

    def imports(self, parts: list[Part]) -> list[str]:
        """The lines that import what the parts use of other packages."""
        whole: set[str] = set()
        names: dict[str, set[str]] = {}
        for part in parts:
            for where, what in self._uses(part):
                if not _is_ours(where):
                    if what is None:
                        whole.add(where)
                    else:
                        names.setdefault(where, set()).add(what)
        lines = [(each, f"import {each}") for each in whole]
        lines += [(each, f"from {each} import {', '.join(sorted(names[each]))}") for each in names]
        standard = [pair for pair in lines if pair[0].split(".")[0] in sys.stdlib_module_names]
        others = [pair for pair in lines if pair not in standard]
        sections = [
            [line for _, line in sorted(each, key=_import_key)] for each in (standard, others)
        ]
        return [*sections[0], *([""] if all(sections) else []), *sections[1]]

    def source(self, part: Part) -> str:
        """The text of a part, in which `init.normal` is called `normal`."""
        home = self.module(part.module)
        text = home.source(part)
        for node in _walk(part):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                origin = home.imports.get(node.value.id)
                if origin and origin.name is None and _is_ours(origin.module):
                    text = text.replace(f"{node.value.id}.{node.attr}", node.attr)
        return text

    def _uses(self, part: Part) -> Iterator[tuple[str, str | None]]:
        """Module and name of all that a part uses; of a module of others as a whole, no name."""
        home = self.module(part.module)
        for node in _walk(part):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                origin = home.imports.get(node.value.id)
                if origin and origin.name is None and _is_ours(origin.module):
                    yield origin.module, node.attr
            for name in _names(node):
                if name in home.parts and name != part.name:
                    yield part.module, name
                elif name in home.imports:
                    origin = home.imports[name]
                    if not _is_ours(origin.module) or origin.name is not None:
                        yield origin.module, origin.name


def _is_ours(module: str) -> bool:
    return module.split(".")[0] == PACKAGE


def _file_of(module: str) -> Path:
    return ROOT.joinpath(*module.split(".")[1:]).with_suffix(".py")


def _walk(part: Part) -> Iterator[ast.AST]:
    for node in part.nodes:
        yield from ast.walk(node)


def _names(node: ast.AST) -> Iterator[str]:
    """The names that a node uses; a text may be an annotation of what is defined further down."""
    if isinstance(node, ast.Name):
        yield node.id
    elif (
        isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier()
    ):
        yield node.value


def _defined(node: ast.stmt) -> list[str]:
    """The names that a statement at the top of a module defines."""
    if isinstance(node, ast.ClassDef | ast.FunctionDef):
        return [node.name]
    targets: list[Any] = []
    if isinstance(node, ast.Assign):
        targets = node.targets
    elif isinstance(node, ast.AnnAssign):
        targets = [node.target]
    return [each.id for each in targets if isinstance(each, ast.Name)]


def _is_text(node: ast.stmt | None) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _import_key(pair: tuple[str, str]) -> tuple[bool, str]:
    return pair[1].startswith("from"), pair[0]


def _refuse_equal_names(parts: list[Part]) -> None:
    homes: dict[str, str] = {}
    for part in parts:
        other = homes.setdefault(part.name, part.module)
        if other != part.module:
            raise UsageError(
                f"{other} and {part.module} both define {part.name}, so no one file can hold both"
            )


def _written(sizes: object) -> str:
    """The call that makes the sizes again, one a line."""
    values = vars(sizes)
    lines = [f"    {name}={value!r}," for name, value in values.items()]
    return "\n".join([f"SIZES = {type(sizes).__name__}(", *lines, ")"])


def _count(model: type) -> str:
    """What the file does when it is run: it counts the weights, without memory for them."""
    return f"""
if __name__ == "__main__":
    with torch.device("meta"):
        model = {model.__name__}(SIZES)
    print(f"{{sum(weight.numel() for weight in model.parameters()):,}} weights")
"""
