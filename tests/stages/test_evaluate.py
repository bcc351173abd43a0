"""`cutaway evaluate`: whole runs with a report, and files by their fields."""

import json
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cutaway.errors import CheckpointError, ConfigError, DataError, UsageError
from cutaway.stages.evaluate import Config, run, tell_minutes

WORDS = "in the morning the king went up to the hill and said let there be light. "


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "texts"
    folder.mkdir()
    for place in range(30):
        (folder / f"{place}.txt").write_text(f"{place}. {WORDS * 3}")
    return folder


@pytest.fixture
def base(model_folder: Callable[..., Path], corpus: Path) -> Path:
    """A pretraining run of a toy model."""
    folder = model_folder()
    (folder / "config.toml").write_text(f'data = "{corpus}"\n')
    rows = [
        {"stage": "pretrain", "step": step, "seconds": 6.0 * step, "loss": 4.2 - step / 10}
        for step in range(11)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture
def taught(tmp_path: Path) -> Path:
    """A run of a toy model that was taught addition; its context holds a question and its steps."""
    from cutaway import checkpoint
    from cutaway.models.catalog import build, describe
    from cutaway.models.weights import weights_of
    from cutaway.tokenizer.characters import CharacterTokenizer

    letters = CharacterTokenizer(string.printable)
    model = build(
        {
            "architecture": "gpt",
            "vocab_size": letters.vocab_size,
            "context_length": 160,
            "width": 8,
            "num_layers": 1,
            "num_heads": 1,
        }
    )
    folder = tmp_path / "taught"
    checkpoint.save(
        folder / "checkpoints",
        step=5,
        tensors={"model": weights_of(model)},
        files={
            "config.json": json.dumps(describe(model)).encode(),
            "tokenizer.json": letters.to_json().encode(),
        },
    )
    (folder / "config.toml").write_text('[[mixture]]\nsource = "skill:addition"\n')
    return folder


def test_a_pretraining_run_is_judged_by_its_held_out_text(base: Path, console: Any) -> None:
    report = run(Config(model=base), console=console)
    bits = report.results["bits_per_byte"]
    assert bits["low"] <= bits["value"] <= bits["high"]
    assert {"gzip", "xz", "ngram5"} <= bits.keys()
    assert report.report == base / "report.html"
    assert json.loads((base / "report.json").read_text())["bits_per_byte"] == bits
    assert "bits per byte" in console.text


def test_the_minutes_of_training_come_from_the_metrics(base: Path, console: Any) -> None:
    minutes = run(Config(model=base), console=console).results["minutes"]
    assert minutes["pretrain"] == 1.0
    assert minutes["total"] == minutes["pretrain"] + minutes["evaluate"]


def test_minutes_can_be_told_afterwards(base: Path, console: Any) -> None:
    run(Config(model=base), console=console)
    tell_minutes(base, {"pretrain": 2.0, "evaluate": 0.5, "total": 3.0})
    data = json.loads((base / "report.json").read_text())
    assert data["minutes"] == {"pretrain": 2.0, "evaluate": 0.5, "total": 3.0}
    assert data["training"]["pretrain"]["step"] == 10
    assert "3 min 00 s" in (base / "report.html").read_text().replace("\N{NO-BREAK SPACE}", " ")


def test_skills_that_were_taught_are_asked(taught: Path, console: Any) -> None:
    report = run(Config(model=taught, items=3, base_items=2, shots=1), console=console)
    assert report.results["bits_per_byte"] is None
    skills = report.results["skills"]
    assert list(skills) == ["addition"]
    assert skills["addition"]["stages"]["base"]["n"] == 2
    assert set(skills["addition"]["prompts"]["base"]) == {"zero-shot", "1-shot"}
    assert "addition exact" in console.text


def test_a_run_without_settings_asks_for_data(
    model_folder: Callable[..., Path], console: Any
) -> None:
    with pytest.raises(UsageError, match="give what to judge it by: data="):
        run(Config(model=model_folder()), console=console)


def test_pairs_are_judged_by_file(base: Path, tmp_path: Path, console: Any) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text('{"sentence_good": "he is", "sentence_bad": "he are", "UID": "verb"}\n')
    report = run(Config(model=base, data=str(path)), console=console)
    assert report.report is None
    assert report.results["task"] == "minimal pairs"
    assert report.results["measurements"]["accuracy"]["chance"] == 0.5
    assert set(report.results["groups"]) == {"verb"}
    assert "by kind" in console.text


def test_text_is_judged_by_file(base: Path, corpus: Path, console: Any) -> None:
    report = run(Config(model=base, data=str(corpus), items=3), console=console)
    assert report.results["measurements"]["bits_per_byte"]["n"] == 3


def test_a_file_that_cannot_be_judged_is_an_error_of_the_data(
    base: Path, tmp_path: Path, console: Any
) -> None:
    path = tmp_path / "a.csv"
    path.write_text("source,target\na,b\n")
    with pytest.raises(DataError, match="cannot judge"):
        run(Config(model=base, data=str(path)), console=console)


def test_a_missing_model_is_an_error_of_the_checkpoint(tmp_path: Path, console: Any) -> None:
    with pytest.raises(CheckpointError):
        run(Config(model=tmp_path / "none", data="basic-english"), console=console)


@pytest.mark.parametrize("name", ["items", "base_items", "shots"])
def test_counts_must_be_positive(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name}=0 is out of range"):
        Config(model=Path("x"), **{name: 0})  # type: ignore[arg-type]


def test_data_excludes_the_choice_of_skills() -> None:
    with pytest.raises(ConfigError, match="leave out skills= and text="):
        Config(model=Path("x"), data="a.txt", skills=("dates",))


def test_an_unknown_skill_is_told_before_anything_takes_time(base: Path, console: Any) -> None:
    with pytest.raises(ConfigError, match="there is no skill"):
        run(Config(model=base, skills=("datse",)), console=console)
    assert console.lines == []
