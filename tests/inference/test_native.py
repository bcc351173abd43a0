"""How the C++ part is compiled: once, for this machine, and without harm when it cannot be."""

from pathlib import Path

import pytest

from cutaway.inference.native import build


def script(folder: Path, body: str) -> Path:
    """A compiler that does what a shell script says."""
    path = folder / "compiler"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def test_the_library_is_compiled_once(tmp_path: Path):
    compiler = script(tmp_path, 'for last; do :; done; echo x >> "$0.log"; echo made > "$last"')
    first = build.compiled(compiler, folder=tmp_path / "cache")
    assert build.compiled(compiler, folder=tmp_path / "cache") == first
    assert first[0].read_text() == "made\n"
    assert (tmp_path / "compiler.log").read_text() == "x\n"


def test_another_compiler_makes_another_library(tmp_path: Path):
    cache = tmp_path / "cache"
    compiler = script(tmp_path, 'for last; do :; done; echo one > "$last"')
    first, _ = build.compiled(compiler, folder=cache)
    compiler = script(tmp_path, 'for last; do :; done; echo another > "$last"')
    second, _ = build.compiled(compiler, folder=cache)
    assert (first.read_text(), second.read_text()) == ("one\n", "another\n")


def test_another_header_makes_another_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    compiler = script(tmp_path, 'for last; do :; done; echo made > "$last"')
    first, _ = build.compiled(compiler, folder=tmp_path / "cache")
    other = tmp_path / "other.h"
    other.write_text("// another one\n")
    monkeypatch.setattr(build, "HEADERS", (*build.HEADERS[1:], other))
    assert build.compiled(compiler, folder=tmp_path / "cache")[0] != first


def test_every_header_that_the_source_includes_is_counted():
    included = {
        line.split('"')[1]
        for path in (build.SOURCE, *build.HEADERS)
        for line in path.read_text().splitlines()
        if line.startswith('#include "')
    }
    assert included == {path.name for path in build.HEADERS}


def test_a_compiler_that_knows_a_flag_less_is_asked_for_less(tmp_path: Path):
    body = 'case "$*" in *openmp*) exit 1;; esac; for last; do :; done; echo made > "$last"'
    path, extra = build.compiled(script(tmp_path, body), folder=tmp_path / "cache")
    assert path.is_file()
    assert extra == ("-march=native",)


def test_a_compiler_that_fails_leaves_nothing_behind_and_is_quoted(tmp_path: Path):
    compiler = script(tmp_path, "echo no such header >&2; exit 1")
    with pytest.raises(OSError, match=r"refuses decoder\.cpp: no such header"):
        build.compiled(compiler, folder=tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []
