"""The page's modules that know no browser, held to their laws by node's own test runner."""

import re
import shutil
import subprocess
import zlib
from pathlib import Path

import pytest

import cutaway.server

MODULES = sorted((Path(__file__).parent / "plain").glob("*.test.mjs"))


@pytest.mark.parametrize("module", MODULES, ids=[path.name for path in MODULES])
def test_a_module_of_the_page_keeps_its_laws(module: Path):
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed; on Debian: apt-get install nodejs")
    done = subprocess.run(
        [node, "--test", str(module)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


WEB = Path(cutaway.server.__file__).parent / "web"
SOURCES = sorted(path for path in WEB.rglob("*") if path.suffix in {".js", ".css", ".html"})

MARKUP_FROM_TEXT = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment"
    r"|\beval\(|new Function|srcdoc|setAttribute\(\"(style|on)|\bstyle=\"|<style|\bon\w+=\""
)
"""What could make elements or code of a string, or what the policy refuses."""

ELSEWHERE = re.compile(r"(src|href|url\(|import\(|fetch\()[=\"'( ]*(https?:)?//")
"""What would load something from another server."""


@pytest.mark.parametrize("path", SOURCES, ids=[path.name for path in SOURCES])
def test_no_file_of_the_page_makes_markup_of_text_or_loads_from_elsewhere(path: Path):
    text = path.read_text(encoding="utf-8")
    assert not MARKUP_FROM_TEXT.search(text)
    assert not ELSEWHERE.search(text)


@pytest.mark.parametrize("path", SOURCES, ids=[path.name for path in SOURCES])
def test_a_file_of_the_page_says_first_what_it_is_and_holds_one_idea(path: Path):
    lines = path.read_text(encoding="utf-8").splitlines()
    begin = {".js": "// ", ".css": "/* ", ".html": "<!-- "}[path.suffix]
    assert lines[1 if path.suffix == ".html" else 0].startswith(begin)
    assert len(lines) <= 400


def test_all_of_the_page_is_small():
    packed = sum(len(zlib.compress(path.read_bytes())) for path in SOURCES)
    assert packed <= 100_000
