"""The runs that a model came from, first to last, as their settings tell."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cutaway.data.parts import SKILL_PREFIX
from cutaway.run_folder import RunFolder

MOST_RUNS = 8
"""The longest line of runs that is followed; a circle ends here."""


@dataclass(frozen=True, kw_only=True)
class Ancestor:
    """A run with what it learned from."""

    folder: Path
    """The run folder."""
    texts: tuple[str, ...]
    """Corpora, files and folders of continuous text, the main one first."""
    skills: tuple[str, ...]
    """Names of the skills that it was taught."""


def lineage(path: Path, *, base: Path | None = None) -> list[Ancestor]:
    """Returns the runs from the base model's to the one at `path`, where they have settings.

    A checkpoint belongs to its run. `base` takes the place of the model that the settings name.
    """
    found: list[Ancestor] = []
    here: Path | None = path
    while here is not None and len(found) < MOST_RUNS:
        folder = run_of(here)
        told = settings_of(folder)
        if told is None:
            break
        found.append(_ancestor(folder, told))
        before = told.get("model")
        here = Path(before) if isinstance(before, str) else None
        if base is not None:
            here, base = base, None
    return found[::-1]


def run_of(path: Path) -> Path:
    """Returns the run folder that a run or one of its checkpoints lies in."""
    if path.name == "checkpoints":
        return path.parent
    return path.parent.parent if path.parent.name == "checkpoints" else path


def settings_of(folder: Path) -> Mapping[str, Any] | None:
    """Returns the settings that a run folder keeps; None where there are none to be read."""
    try:
        return tomllib.loads(RunFolder(path=folder).config.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _ancestor(folder: Path, told: Mapping[str, Any]) -> Ancestor:
    parts = told.get("mixture")
    named = [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []
    if not named and isinstance(told.get("data"), str):
        # Fine-tuning without a mixture reads conversations, pretraining reads text.
        form = "chat" if isinstance(told.get("model"), str) else "text"
        named = [{"source": told["data"], "form": form}]
    sources = [(str(part.get("source", "")), part.get("form", "text")) for part in named]
    return Ancestor(
        folder=folder,
        texts=tuple(
            source
            for source, form in sources
            if form == "text" and source and not source.startswith(SKILL_PREFIX)
        ),
        skills=tuple(
            source.removeprefix(SKILL_PREFIX)
            for source, _ in sources
            if source.startswith(SKILL_PREFIX)
        ),
    )
