"""The shape of the package: who may import whom, what no file may do, and the README's tree."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "cutaway"
FILES = sorted(SOURCE.rglob("*.py"))
NAMES = [str(path.relative_to(SOURCE)) for path in FILES]
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in FILES}

# Each may import from a row above and from its own folder; neighbours do not know each other.
ROWS = (
    {"errors"},
    {"settings", "devices", "durable", "console", "tensor_files", "database"},
    {"text", "nn"},
    {"tokenizer", "models"},
    {"data", "checkpoint", "run_folder"},
    {"training", "inference"},
    {"alignment", "evaluation", "inspection", "interop"},
    {"lab"},
    {"server"},
    {"stages"},
    {"cli"},
    {"__main__"},
)
ROW_OF = {part: row for row, parts in enumerate(ROWS) for part in parts}

WITHOUT_TORCH = ("errors", "settings", "devices", "durable", "console", "run_folder", "text", "cli")
"""Parts that the help texts need, so that importing them must not import torch."""

CODE_FROM_DATA = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "yaml"}
"""Modules that run, or can run, code which stands in a file."""

VAGUE = re.compile(r"(^|_)(utils?|helpers?|managers?|common|misc)($|_)")

LONGEST_FILE = 400
LONGEST_FUNCTION = 60
MOST_PARAMETERS = 8
"""With `self`."""

ASKED_WHY = {
    ("nn/attention.py", "__init__"): "takes its sizes and its parts one by one, never a config",
    (
        "inference/engine.py",
        "__init__",
    ): "its bounds suit most, and one is changed without the rest",
}
"""What is longer or takes more than the rest, and the reason."""


def part_of(path: Path) -> str:
    """The folder or the top-level module that a file belongs to."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every module that is named in an import anywhere in a file, with the line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import"
            # `from cutaway import settings` names the part only in what it imports.
            for alias in node.names:
                yield f"{node.module}.{alias.name}", node.lineno


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Every call in a file, by the dotted name of what is called."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def test_every_part_of_the_package_stands_in_a_row():
    assert {part_of(path) for path in FILES} - {"__init__"} <= ROW_OF.keys()


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_a_part_imports_only_from_rows_above(path: Path):
    own = part_of(path)
    wrong = []
    for name, line in imports(TREES[path]):
        package, part = [*name.split("."), ""][:2]
        if (
            package == "cutaway"
            and part != own
            and ROW_OF.get(part, len(ROWS)) >= ROW_OF.get(own, 0)
        ):
            wrong.append(f"line {line}: {own} imports {part}")
    assert wrong == []


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_no_file_can_run_code_from_data(path: Path):
    tree, wrong = TREES[path], []
    wrong += [
        f"line {line}: import {name}"
        for name, line in imports(tree)
        if name.split(".")[0] in CODE_FROM_DATA
    ]
    for name, call in calls(tree):
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        if (
            name in {"eval", "exec", "__import__", "os.system", "os.popen", "torch.load"}
            or given.get("shell", "False") != "False"
            or given.get("allow_pickle", "False") != "False"
            or given.get("trust_remote_code", "False") != "False"
        ):
            wrong.append(f"line {call.lineno}: {ast.unparse(call)[:80]}")
    assert wrong == []


def test_modules_are_imported_by_a_name_from_a_fixed_list_only():
    found = {
        path.name
        for path, tree in TREES.items()
        for name, _ in calls(tree)
        if name.endswith("import_module")
    }
    assert found <= {"cli.py", "scripture.py"}  # the verbs, and the packages of two Bibles


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_every_file_says_first_what_it_is(path: Path):
    text = ast.get_docstring(TREES[path])
    assert text, "no docstring"
    assert text.split("\n\n")[0].rstrip().endswith((".", ")", "?", ":")), "no whole sentence"


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_importing_a_file_does_nothing(path: Path):
    working = [
        f"line {node.lineno}"
        for node in TREES[path].body
        if isinstance(node, ast.For | ast.While | ast.With | ast.Try | ast.Assert | ast.Delete)
        or (isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant))
    ]
    assert working == []


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_a_file_holds_one_idea_and_a_function_fits_a_page(path: Path):
    wrong = []
    lines = path.read_text(encoding="utf-8").count("\n")
    if lines > LONGEST_FILE:
        wrong.append(f"{lines} lines")
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            size = (node.end_lineno or 0) - node.lineno + 1
            count = len(node.args.args) + len(node.args.kwonlyargs)
            if size > LONGEST_FUNCTION:
                wrong.append(f"line {node.lineno}: {node.name} has {size} lines")
            excused = (str(path.relative_to(SOURCE)), node.name) in ASKED_WHY
            if count > MOST_PARAMETERS and not excused:
                wrong.append(f"line {node.lineno}: {node.name} has {count} parameters")
    assert wrong == []


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_no_name_hides_what_a_file_is(path: Path):
    assert not VAGUE.search(path.stem)


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_annotations_are_real_so_that_shapes_can_be_checked(path: Path):
    assert "__future__.annotations" not in {name for name, _ in imports(TREES[path])}


def test_what_the_help_needs_imports_no_torch():
    modules = [
        ".".join(["cutaway", *path.relative_to(SOURCE).with_suffix("").parts])
        for path in FILES
        if part_of(path) in WITHOUT_TORCH and path.name != "__init__.py"
    ]
    code = f"import sys, {', '.join(modules)}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_the_tree_in_the_readme_is_the_tree():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    trees = [
        block for block in re.findall(r"```.*?\n(.*?)```", text, re.S) if "src/cutaway/" in block
    ]
    assert len(trees) == 1, "README.md holds no tree, or more than one, of src/cutaway/"
    words = set(re.findall(r"[\w.]+/?", trees[0]))
    real = {f"{path.name}/" for path in SOURCE.iterdir() if (path / "__init__.py").exists()}
    real |= {path.name for path in SOURCE.glob("*.py")} - {"__init__.py"}
    assert real - words == set(), "these are missing from the tree in README.md"
    named = {word for word in words if word.endswith(("/", ".py"))}
    for word in named - real - {"cutaway/"}:  # the heading of the tree
        found = [*ROOT.glob(word), *SOURCE.rglob(word.rstrip("/"))]
        assert found, f"README.md names {word}, which is not there"
