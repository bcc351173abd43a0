"""A place with texts, conversations and a toy model, where mistakes are made on the command line.

Whatever is typed goes through `cutaway.cli.main`, in this process. What every end promises is
checked here for all of them: at most six lines on standard error, and no traceback.
"""

import json
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from cutaway import cli, devices

TOY = (
    "model.architecture=gpt model.width=16 model.num_layers=1 model.num_heads=1 "
    "model.context_length=32 vocab_size=300"
)
QUICK = "steps=2 pacing.rows=2 pacing.threads=1 pacing.compile=no pacing.precision=fp32"
PRETRAIN = f"pretrain data=texts run=toy {TOY} {QUICK}"


@dataclass(frozen=True, kw_only=True)
class Told:
    """How a command ended."""

    code: int
    output: str
    errors: str


Tell = Callable[[str], Told]


@pytest.fixture(scope="session")
def toy_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a toy model, trained for two steps on the texts; nobody may change it."""
    place = tmp_path_factory.mktemp("trained")
    write_texts(place)
    with pytest.MonkeyPatch.context() as patch:
        settle(patch, place)
        assert cli.main(shlex.split(PRETRAIN)) == 0
    return place / "toy"


@pytest.fixture
def tell(
    tmp_path: Path,
    toy_run: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Tell:
    """Types a command in a folder that holds texts/, chats.jsonl and the run toy/."""
    write_texts(tmp_path)
    (tmp_path / "toy").symlink_to(toy_run)
    settle(monkeypatch, tmp_path)

    def typed(command: str) -> Told:
        capsys.readouterr()
        code = cli.main(shlex.split(command))
        output, errors = capsys.readouterr()
        assert "Traceback" not in output + errors
        assert len(errors.splitlines()) <= 6
        return Told(code=code, output=output, errors=errors)

    return typed


def settle(patch: pytest.MonkeyPatch, place: Path) -> None:
    """Goes to the place; what a verb sets for its process must not reach the other tests."""
    patch.chdir(place)
    patch.delenv("CUTAWAY_DATA", raising=False)
    patch.setattr(cli, "prepare_process", lambda: None)
    kept = devices.KeptMemory(kept=False, reason="these tests share their process")
    patch.setattr(devices, "keep_freed_memory", lambda: kept)


def write_texts(place: Path) -> None:
    """Writes six short documents and thirty conversations."""
    (place / "texts").mkdir()
    for number, who in enumerate(("king", "cook", "boy", "girl", "dog", "cat")):
        lines = [f"The {who} saw {count} boats on the river.\n" for count in range(24)]
        (place / "texts" / f"{number}.txt").write_text("".join(lines))
    chats = [{"prompt": f"Who {number}?", "completion": f"I {number}."} for number in range(30)]
    (place / "chats.jsonl").write_text("".join(json.dumps(chat) + "\n" for chat in chats))
