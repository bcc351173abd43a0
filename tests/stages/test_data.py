"""`cutaway data`: lists, checks and shows."""

import json
from pathlib import Path
from typing import Any

import pytest

from cutaway.errors import ConfigError, DataError
from cutaway.stages import data
from cutaway.text.corpora import names
from cutaway.tokenizer import characters


@pytest.fixture
def documents(tmp_path: Path) -> str:
    lines = [json.dumps({"text": f"sentence number {number}"}) for number in range(60)]
    (tmp_path / "texts.jsonl").write_text("\n".join([*lines, lines[0]]))
    return str(tmp_path / "texts.jsonl")


@pytest.fixture
def instructions(tmp_path: Path) -> str:
    lines = [json.dumps({"prompt": f"say {number}", "completion": "yes"}) for number in range(60)]
    (tmp_path / "chat.jsonl").write_text("\n".join(lines))
    return str(tmp_path / "chat.jsonl")


def test_every_corpus_is_listed(console: Any):
    report = data.run(data.Config(action="list"), console=console)
    assert [fact.name for fact in report.corpora] == list(names())
    assert "basic-english" in console.text


def test_one_corpus_is_told_with_its_licence_and_its_split(console: Any):
    data.run(data.Config(action="list", source="tang"), console=console)
    told = console.text
    assert "licence: MIT" in told
    assert "held out: one poem in twenty" in told


def test_a_corpus_that_is_not_here_is_told_with_the_reason(
    console: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("CUTAWAY_DATA", raising=False)
    report = data.run(data.Config(action="list", source="tang"), console=console)
    assert report.problem is not None
    assert "CUTAWAY_DATA" in report.problem
    assert "CUTAWAY_DATA" in console.text


def test_checking_counts_documents_repeats_and_what_is_held_out(documents: str, console: Any):
    checked = data.run(data.Config(action="check", source=documents), console=console).checked
    assert checked is not None
    assert checked.documents == 61
    assert checked.duplicates == 1
    assert 0 < checked.held_out < 20
    assert checked.longest == len("sentence number 10")


def test_checking_conversations_finds_the_line_that_is_broken(instructions: str, console: Any):
    with Path(instructions).open("a") as file:
        file.write('\n{"prompt": "say", "completion": 3}\n')
    with pytest.raises(DataError, match="61"):
        data.run(data.Config(action="check", source=instructions), console=console)


def test_a_document_is_shown_as_ids_all_of_them_learned_from(
    documents: str, console: Any, tmp_path: Path
):
    tokenizer = characters.train(["sentence number 0123456789"])
    tokenizer.save(tmp_path / "characters")
    config = data.Config(
        action="show", source=documents, tokenizer=tmp_path / "characters", count=1
    )
    (shown,) = data.run(config, console=console).shown
    assert shown.tokens[0] == "<|endoftext|>"
    assert tokenizer.decode(shown.ids).startswith("sentence number")
    assert all(shown.learned)
    assert "all of them learned from" in console.text


def test_a_conversation_is_shown_with_only_its_answer_learned_from(instructions: str, console: Any):
    config = data.Config(action="show", source=instructions, count=1)
    (shown,) = data.run(config, console=console).shown
    pairs = zip(shown.tokens, shown.learned, strict=True)
    assert "".join(token for token, is_learned in pairs if is_learned) == "yes<|end|>"
    assert "===" in console.text


def test_an_example_of_a_skill_is_shown_as_a_conversation(console: Any):
    config = data.Config(action="show", source="skill:addition", count=2)
    shown = data.run(config, console=console).shown
    assert len(shown) == 2
    assert all(one.tokens[1] in {"<|system|>", "<|user|>"} for one in shown)


def test_a_long_document_is_cut_and_says_so(documents: str, console: Any):
    config = data.Config(action="show", source=documents, count=1, tokens=2)
    (shown,) = data.run(config, console=console).shown
    assert len(shown.ids) == 2
    assert f"and {shown.num_tokens - 2} more" in console.text


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"action": "show"}, "needs a source"),
        ({"action": "check"}, "needs a source"),
        ({"action": "show", "source": "x", "count": 0}, "count=0 shows nothing"),
        ({"action": "show", "source": "x", "tokens": 0}, "tokens=0 shows nothing"),
    ],
)
def test_a_question_that_cannot_be_is_refused(given: dict[str, object], message: str):
    with pytest.raises(ConfigError, match=message):
        data.Config(**given)


def test_a_source_that_is_neither_corpus_nor_path_is_refused(console: Any):
    for action in ("show", "check"):
        config = data.Config(action=action, source="basic-englich")
        with pytest.raises(DataError, match="did you mean 'basic-english'"):
            data.run(config, console=console)
