"""`cutaway tokenizer`: what it writes, what it says, and what it refuses."""

from pathlib import Path
from typing import Any

import pytest

from cutaway.errors import ConfigError, DataError, UsageError
from cutaway.stages import tokenizer
from cutaway.tokenizer.open import open_tokenizer

TEXT = "The quick brown fox jumps over the lazy dog, and the dog does not mind at all.\n\n"


@pytest.fixture
def own_text(tmp_path: Path) -> str:
    (tmp_path / "own").mkdir()
    for number in range(40):
        (tmp_path / "own" / f"{number}.txt").write_text(f"{number}. {TEXT}")
    return str(tmp_path / "own")


def test_ones_own_folder_becomes_a_tokenizer(own_text: str, tmp_path: Path, console: Any):
    config = tokenizer.Config(run=tmp_path / "run", data=(own_text,), vocab_size=300)
    report = tokenizer.run(config, console=console)
    opened = open_tokenizer(tmp_path / "run")
    assert opened.vocab_size == 300
    assert opened.fingerprint == report.fingerprint
    told = console.text
    assert "tokens per word" in told
    assert "longest: " in told
    assert report.held_out.texts[0].name == own_text


def test_the_alphabet_has_the_letters_that_only_held_out_text_has(
    own_text: str, tmp_path: Path, console: Any
):
    for number, letter in enumerate("äöüßéèñçøåłžšþðæœµ"):
        (Path(own_text) / f"{letter}.txt").write_text(f"{number} {letter}")
    config = tokenizer.Config(run=tmp_path / "run", data=(own_text,), kind="characters")
    report = tokenizer.run(config, console=console)
    assert report.held_out.texts[0].num_tokens > 0
    assert open_tokenizer(tmp_path / "run").encode("äöüßéèñçøåłžšþðæœµ")


def test_characters_make_a_tokenizer_too(own_text: str, tmp_path: Path, console: Any):
    config = tokenizer.Config(run=tmp_path, data=(own_text,), kind="characters")
    tokenizer.run(config, console=console)
    opened = open_tokenizer(tmp_path)
    assert opened.decode(opened.encode("the dog")) == "the dog"


def test_the_same_command_gives_the_same_tokenizer(own_text: str, tmp_path: Path, console: Any):
    config = tokenizer.Config(run=tmp_path / "run", data=(own_text,), vocab_size=300)
    first = tokenizer.run(config, console=console)
    assert tokenizer.run(config, console=console).fingerprint == first.fingerprint


def test_another_tokenizer_is_not_written_over_one_that_models_may_need(
    own_text: str, tmp_path: Path, console: Any
):
    run = tmp_path / "run"
    tokenizer.run(tokenizer.Config(run=run, data=(own_text,), vocab_size=300), console=console)
    with pytest.raises(UsageError, match="is another tokenizer already"):
        tokenizer.run(tokenizer.Config(run=run, data=(own_text,), vocab_size=290), console=console)


def test_no_more_text_is_read_than_asked_for(own_text: str, tmp_path: Path, console: Any):
    config = tokenizer.Config(
        run=tmp_path / "run", data=(own_text,), vocab_size=300, most_megabytes=0.00001
    )
    tokenizer.run(config, console=console)
    assert open_tokenizer(tmp_path / "run").vocab_size == 262


def test_a_source_that_is_not_there_is_named(tmp_path: Path, console: Any):
    config = tokenizer.Config(run=tmp_path, data=("no-such-corpus",))
    with pytest.raises(DataError, match="no-such-corpus"):
        tokenizer.run(config, console=console)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"vocab_size": 100}, "vocab_size=100 is out of range; give 262"),
        ({"vocab_size": 10**9}, "vocab_size=1000000000 is out of range"),
        ({"data": ()}, "data names nothing"),
        ({"unknown": "??"}, "is not one character"),
        ({"most_megabytes": 0.0}, "give more than 0"),
    ],
)
def test_a_config_that_cannot_be_is_refused(given: dict[str, object], message: str):
    with pytest.raises(ConfigError, match=message):
        tokenizer.Config(**given)
