"""The documents against the code: every path, name, link, quotation and example in them."""

import ast
import doctest
import re
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "cutaway"
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("benchmarks/*.md")],
    key=lambda path: str(path.relative_to(ROOT)),
)
NAMES = [str(path.relative_to(ROOT)) for path in PAGES]
CHAPTERS = [
    *("01_text", "02_tokens", "03_batches", "04_embedding", "05_attention", "06_blocks"),
    *("07_training", "08_finetuning", "09_alignment", "10_generation", "11_evaluation"),
    "12_inside",
]
LONGEST_CHAPTER = 130

FENCE = re.compile(r"^```(.*?)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
PATH = re.compile(r"\.?[\w\-]+(?:[/.][\w\-]+)*\.(?:py|toml|md)")
REFERENCE = re.compile(r"([\w/]+\.py):([A-Za-z_][\w.]*)")

OURS = ("src/", "docs/", "tests/", "recipes/", "benchmarks/", ".ci/")

WRITTEN_BY_RUNS = {"config.toml"}
"""Files that a document speaks of, and that are no part of the repository."""


def prose(text: str) -> str:
    """A document without its fenced blocks."""
    return FENCE.sub("", text)


def found(path: str, page: Path = ROOT / "README.md") -> Path | None:
    """What a document means: in the repository, in the package, or beside the document itself."""
    for place in (ROOT / path, SOURCE / path, page.parent / path):
        if place.exists():
            return place
    return None


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def definition(path: Path, name: str) -> ast.AST | None:
    """The class, function, constant or field of a file that a dotted name means."""
    here: ast.AST | None = tree(path)
    for part in name.split("."):
        here = next((node for node in getattr(here, "body", []) if part in defined(node)), None)
    return here


def defined(node: ast.AST) -> list[str]:
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return [each.id for each in targets if isinstance(each, ast.Name)]


def missing_reference(reference: str) -> str | None:
    """What is wrong with `path:name`, or nothing."""
    matched = REFERENCE.fullmatch(reference)
    assert matched, f"{reference} is no path:name"
    place = found(matched[1])
    if place is None:
        return f"{matched[1]} is not there"
    if definition(place, matched[2]) is None:
        return f"{matched[1]} defines no {matched[2]}"
    return None


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_path_and_name_in_a_document_is_there(page: Path):
    wrong = []
    for span in SPAN.findall(prose(page.read_text(encoding="utf-8"))):
        if REFERENCE.fullmatch(span):
            wrong.append(missing_reference(span))
        elif span not in WRITTEN_BY_RUNS and (
            PATH.fullmatch(span) or (span.startswith(OURS) and "*" not in span and " " not in span)
        ):
            wrong.append(None if found(span, page) else f"{span} is not there")
    assert [each for each in wrong if each] == []


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_link_to_a_file_leads_somewhere(page: Path):
    targets = LINK.findall(prose(page.read_text(encoding="utf-8")))
    local = [target for target in targets if not target.startswith(("http://", "https://"))]
    assert [target for target in local if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_code_that_a_document_quotes_is_the_code(page: Path):
    """A block marked `python path:name` holds lines of that definition, in their order."""
    wrong = []
    for mark, block in FENCE.findall(page.read_text(encoding="utf-8")):
        language, _, reference = mark.partition(" ")
        if language != "python" or not reference:
            continue
        problem = missing_reference(reference)
        if problem:
            wrong.append(problem)
            continue
        path, name = reference.split(":")
        place = found(path)
        assert place is not None
        source = place.read_text(encoding="utf-8")
        node = definition(place, name)
        assert node is not None
        lines = [line.strip() for line in (ast.get_source_segment(source, node) or "").splitlines()]
        for line in block.splitlines():
            if line.strip() in ("", "..."):
                continue
            if line.strip() not in lines:
                wrong.append(f"{reference} has no line, or not here: {line.strip()}")
                break
            del lines[: lines.index(line.strip()) + 1]
    assert wrong == []


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_examples_in_a_document_give_what_it_says(page: Path, monkeypatch, tmp_path: Path):
    blocks = [
        block for mark, block in FENCE.findall(page.read_text(encoding="utf-8")) if mark == "python"
    ]
    assert all(">>>" in block for block in blocks), "an example that shows no result"
    example = doctest.DocTestParser().get_doctest(
        "\n".join(blocks), globs={}, name=page.name, filename=str(page), lineno=0
    )
    monkeypatch.chdir(tmp_path)
    said: list[str] = []
    doctest.DocTestRunner(verbose=False).run(example, out=said.append)
    assert "".join(said) == ""


def test_the_chapters_are_in_the_order_of_the_data_and_lead_to_the_next():
    chapters = [path for path in PAGES if re.match(r"\d\d_", path.name)]
    assert [path.stem for path in chapters] == CHAPTERS
    for chapter, following in pairwise(chapters):
        assert f"({following.name})" in chapter.read_text(encoding="utf-8"), chapter.name
    longest = max(path.read_text(encoding="utf-8").count("\n") for path in chapters)
    assert longest <= LONGEST_CHAPTER


def test_the_glossary_gives_every_term_in_chinese_and_every_letter_of_the_package():
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    rows = [
        [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        for line in text.splitlines()
        if line.startswith("| ") and not line.startswith(("| term", "| letter"))
    ]
    letters = {row[0].strip("`") for row in rows if len(row[0].strip("`")) == 1}
    assert letters == set("BTDHGCEFVLQKSPMW")
    terms = [row for row in rows if len(row[0].strip("`")) > 1]
    assert len(terms) >= 60
    assert [row[0] for row in terms if not re.search(r"[\u4e00-\u9fff]", row[1])] == []


def test_both_readmes_say_the_same_things_in_the_same_order():
    english = (ROOT / "README.md").read_text(encoding="utf-8")
    chinese = (ROOT / "README.zh-CN.md").read_text(encoding="utf-8")

    def shape(text: str) -> list[str]:
        kept = re.findall(r"^(#+) |^(```)|^(\|)|^!(\[)", text, re.MULTILINE)
        return ["".join(each) for each in kept]

    assert shape(chinese) == shape(english)


def test_no_document_names_a_place_on_somebody_s_machine():
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert not re.search(r"(?<![\w.])/(home|root|work|Users|tmp)/", text), page.name
