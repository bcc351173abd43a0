"""The demo is killed at any instant, in any of its stages, and goes on where it was."""

import hashlib
import json
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from cutaway import checkpoint
from cutaway.run_folder import RunFolder
from tests.recipes.test_recipes import toy

pytestmark = pytest.mark.faults

KILLS = 12
"""Sittings that are killed before the demo may end in peace."""


def start(place: Path) -> subprocess.Popen[bytes]:
    """The command in a folder that holds its recipes."""
    return subprocess.Popen(
        [sys.executable, "-m", "cutaway", "demo", "recipes=recipes", "run=run"],
        cwd=place,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def outcome(place: Path) -> dict[str, Any]:
    """All of a finished demo that time does not change."""
    weights = {}
    for name in ("run/base", "run/finetuned", "run"):
        found = checkpoint.newest(RunFolder(path=place / name).checkpoints).checkpoint
        assert found is not None
        weights[name] = hashlib.sha256(found.bytes("model.safetensors")).hexdigest()
    twin = json.loads((place / "run" / "report.json").read_text())
    return {"weights": weights, "skills": twin["skills"], "text": twin["bits_per_byte"]}


def test_a_demo_killed_at_any_instant_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    recipes = toy(tmp_path / "recipes")
    begin = time.monotonic()
    process = start(tmp_path)
    _, said = process.communicate()
    assert process.returncode == 0, said.decode()
    seconds = time.monotonic() - begin
    expected = outcome(tmp_path)

    place = tmp_path / "killed"
    place.mkdir()
    shutil.copytree(recipes, place / "recipes")
    drawn = random.Random(1)
    for _ in range(KILLS):
        process = start(place)
        try:
            process.wait(timeout=drawn.uniform(0.2, 0.9) * seconds)
        except subprocess.TimeoutExpired:
            process.kill()
        process.communicate()
    process = start(place)
    _, said = process.communicate()
    assert process.returncode == 0, said.decode()
    assert outcome(place) == expected
