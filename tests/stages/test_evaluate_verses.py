"""A run that learned verses is judged by the poems that it writes, too."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cutaway.models.settings import ModelSettings
from cutaway.stages import evaluate, pretrain
from cutaway.stages.learning import PacingConfig
from cutaway.text.corpora import CORPORA, VerseCorpus
from cutaway.text.documents import Document, Split
from tests.stages.conftest import Listener

POEMS = {
    "train": ("five\n秦川雄帝宅，函谷壯皇居。", "seven\n白日依山盡未歸，黃河入海流不回。"),
    "validation": ("five\n綺殿千尋起，離宮百雉餘。",),
}


def documents(split: Split) -> Iterator[Document]:
    for place, text in enumerate(POEMS[split] * 8):
        yield Document(text=f"{text}\n{text[-3:]}{place}", key=f"{split}/{place}")


def test_poems_are_counted_beside_the_held_out_text(
    tmp_path: Path, console: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    verses = VerseCorpus(
        name="verses",
        description="three poems",
        source="this file",
        licence="none needed",
        held_out="the third of them",
        size=None,
        sha256=None,
        read=documents,
    )
    monkeypatch.setitem(CORPORA, "verses", verses)
    asked = pretrain.Config(
        run=tmp_path / "run",
        data="verses",
        characters=True,
        steps=2,
        model=ModelSettings(
            architecture="gpt", context_length=32, width=16, num_layers=1, num_heads=2
        ),
        pacing=PacingConfig(rows=2, compile="no", precision="fp32", threads=1),
    )
    pretrain.run(asked, console=console)
    judged = evaluate.run(evaluate.Config(model=asked.run, items=3), console=console)
    found = judged.results["verses"]
    assert [poem["form"] for poem in found["poems"]] == ["five"] * 3 + ["seven"] * 3
    assert 0 <= found["in_form"]["low"] <= found["in_form"]["value"] <= 1
    assert judged.results["bits_per_byte"]["value"] > 0
    assert f"of {found['num_lines']} lines stand in the training text" in console.text
    assert json.loads((asked.run / "report.json").read_text())["verses"] == found
    assert "New poems, after verses" in (asked.run / "report.html").read_text()

    wanted = evaluate.Config(model=asked.run, data="verses", items=3)
    alone = evaluate.run(wanted, console=console)
    assert list(alone.results["measurements"]) == ["clauses_in_form", "memorised_lines"]
    assert alone.results["measurements"]["clauses_in_form"]["value"] == found["in_form"]["value"]
