"""`cutaway chat`: a conversation by lines, its commands, and what never reaches the terminal."""

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cutaway.inference import dialogue
from cutaway.stages import chat
from cutaway.stages.chat import COMMANDS, Config, Report, run
from cutaway.text.conversations import read_conversations

Talk = Callable[..., Report]


@pytest.fixture
def model(model_folder: Callable[..., Path]) -> Path:
    """A fine-tuned toy model that never ends an answer itself."""
    return model_folder(stage="finetune", never_stops=True)


@pytest.fixture
def talk(model: Path, console: Any, monkeypatch: pytest.MonkeyPatch) -> Talk:
    """Runs the stage with lines on standard input."""

    def say(*lines: str, **settings: Any) -> Report:
        monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
        given = {"temperature": 0.0, "max_tokens": 5} | settings
        return run(Config(model=model, **given), console=console)

    return say


def test_each_line_from_a_pipe_gets_one_line(talk: Talk, console: Any) -> None:
    report = talk("hi", "how are you", "")
    answers = [message.content for message in report.messages if message.role == "assistant"]
    assert "".join(console.products) == "".join(f"{answer}\n" for answer in answers)
    assert report.answers == len(answers) == 2


def test_the_conversation_remembers_what_was_said(talk: Talk) -> None:
    report = talk("hi", "bye")
    assert [message.role for message in report.messages] == ["user", "assistant"] * 2
    assert report.messages[2].content == "bye"
    assert talk("bye").messages[1] != report.messages[3]


def test_it_says_which_model_answers(talk: Talk, console: Any) -> None:
    talk()
    assert "gpt, 6,736 parameters, finetune, step 5; it reads 64 tokens" in console.text


def test_a_base_model_is_warned_of(
    model_folder: Callable[..., Path], console: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    run(Config(model=model_folder()), console=console)
    assert "warning: this model was only pretrained" in console.text


def test_the_same_seed_gives_the_same_answers(talk: Talk) -> None:
    free = {"temperature": 1.5}
    first, again, other = (talk("a", "b", seed=seed, **free).messages for seed in (3, 3, 4))
    assert first == again != other


def test_a_seed_that_is_set_again_answers_again(talk: Talk) -> None:
    report = talk("/seed 9", "a", "/clear", "/seed 9", "a", temperature=1.5)
    [_, again] = report.messages
    assert again == talk("/seed 9", "a", temperature=1.5).messages[1]


def test_commands_change_the_settings(talk: Talk, console: Any) -> None:
    talk("/temperature 0.7", "/top_p 0.9", "/seed 4", "/system Be kind.", "/help")
    assert "now: temperature 0.7, top_p 0.9, seed 4, 0 messages, system prompt: Be kind." in (
        console.text
    )
    for name in COMMANDS:
        assert name in console.text


def test_a_system_prompt_changes_what_the_model_reads(talk: Talk) -> None:
    assert talk("/system abc", "hi").messages == talk("hi", system="abc").messages
    assert talk("/system abc", "/system", "hi").messages == talk("hi").messages


def test_clear_forgets(talk: Talk) -> None:
    assert talk("hi", "/clear", "bye").messages == talk("bye").messages


def test_quit_ends(talk: Talk) -> None:
    assert talk("hi", "/quit", "bye").answers == 1


def test_two_slashes_begin_a_message_with_one(talk: Talk) -> None:
    assert talk("//help").messages[0].content == "/help"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("/tempreature 1", "/tempreature is no command; did you mean /temperature?"),
        ("/temp 1", "/temp is no command; did you mean /temperature?"),
        ("/xyzzy", "/xyzzy is no command\n/help lists them"),
        ("/temperature hot", "'hot' is no number; write /temperature 0.3"),
        ("/temperature -1", "temperature is -1.0"),
        ("/top_p 2", "top_p is 2.0"),
        ("/seed 1.5", "seed is 1.5, but it is a whole number"),
        ("/seed nan", "seed is nan, but"),
        ("/seed inf", "seed is inf, but"),
        ("/save", "nothing has been said yet"),
        ("/save notes.txt", "notes.txt does not end in .jsonl"),
        ("x" * 90, "the message has 94 tokens"),
        ("héllo", "é"),
    ],
)
def test_a_mistake_is_told_and_the_chat_goes_on(
    line: str, told: str, talk: Talk, console: Any
) -> None:
    report = talk(line, "hi")
    assert told in console.text
    assert report.answers == 1
    assert report.messages == talk("hi").messages


def test_a_question_without_an_answer_still_takes_its_line(talk: Talk, console: Any) -> None:
    talk("x" * 90, "hi")
    assert console.products[0] == "\n"


def test_a_full_context_forgets_the_oldest_and_says_so_first(talk: Talk, console: Any) -> None:
    report = talk("first " + "a" * 14, "b" * 15, "c" * 15, max_tokens=12)
    assert "the 2 oldest messages, from 'first aaa" in console.text
    assert report.messages[0].content == "b" * 15
    told = next(i for i, line in enumerate(console.lines) if "oldest" in line)
    assert "".join(console.lines[told:]).endswith(report.messages[-1].content + "\n")


def test_what_is_saved_can_be_learned_from(talk: Talk, tmp_path: Path, console: Any) -> None:
    path = tmp_path / "chat.jsonl"
    first = talk("hi", f"/save {path}", system="Be kind.")
    second = talk("bye", f"/save {path}")
    saved = list(read_conversations(path))
    assert [conversation.messages[-2:] for conversation in saved] == [
        first.messages,
        second.messages,
    ]
    assert saved[0].messages[0].content == "Be kind."
    assert "holds 2 conversations" in console.text
    assert "messages" in json.loads(path.read_text().splitlines()[0])


def test_saving_never_replaces_a_file_of_something_else(
    talk: Talk, tmp_path: Path, console: Any
) -> None:
    path = tmp_path / "chat.jsonl"
    path.write_text("my diary")
    talk("hi", f"/save {path}")
    assert path.read_text() == "my diary"
    assert "warning:" in console.text


def test_a_folder_that_is_not_there_is_told(talk: Talk, tmp_path: Path, console: Any) -> None:
    talk("hi", f"/save {tmp_path / 'no' / 'chat.jsonl'}")
    assert "No such file or directory" in console.text


def interrupted(*pieces: str) -> Callable[..., Iterator[str]]:
    """An answer during which somebody presses Ctrl-C."""

    def answer(*_: object, **__: object) -> Iterator[str]:
        yield from pieces
        raise KeyboardInterrupt

    return answer


def on_a_terminal(monkeypatch: pytest.MonkeyPatch, *lines: str | type[BaseException]) -> None:
    """Lets a person type these lines, or press keys that raise these exceptions."""
    terminal = io.StringIO()
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr("sys.stdin", terminal)
    monkeypatch.setattr("sys.stdout", terminal)
    keys = iter([*lines, EOFError])

    def typed(_: str) -> str:
        key = next(keys)
        if isinstance(key, str):
            return key
        raise key

    monkeypatch.setattr("builtins.input", typed)


def test_ctrl_c_stops_the_answer_and_keeps_it(
    model: Path, console: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_a_terminal(monkeypatch, "hi")
    monkeypatch.setattr(dialogue, "answer", interrupted("so ", "far"))
    report = run(Config(model=model), console=console)
    assert report.messages[-1].content == "so far"
    assert " [stopped]" in console.lines


def test_ctrl_c_at_the_prompt_forgets_the_line_and_ctrl_d_ends(
    model: Path, console: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_a_terminal(monkeypatch, KeyboardInterrupt, "hi")
    assert run(Config(model=model, max_tokens=2), console=console).answers == 1
    assert "Ctrl-D or /quit" in console.text


def test_ctrl_c_ends_a_script(model: Path, console: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("hi\nbye\n"))
    monkeypatch.setattr(dialogue, "answer", interrupted("so far"))
    with pytest.raises(KeyboardInterrupt):
        run(Config(model=model), console=console)
    assert "".join(console.products) == "so far\n"


def test_no_answer_steers_the_terminal(
    talk: Talk, console: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(*_: object, **__: object) -> Iterator[str]:
        yield from ("red\x1b[31m", "\x1b]52;c;aGVsbG8=\x07copied", "\x1b", "[2J\x9b2J", "\a\r!")

    monkeypatch.setattr(dialogue, "answer", answer)
    talk("hi")
    assert not set("".join(console.products)) & set("\x1b\x9b\a\r")


def test_the_tab_key_completes_commands() -> None:
    assert chat._complete("/te", 0) == "/temperature"
    assert chat._complete("/te", 1) is None
    assert chat._complete("te", 0) is None
