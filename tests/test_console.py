"""What reaches a person, a pipe or a program, and that no text can steer a terminal."""

import io
import json
import math
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cutaway import console as console_module
from cutaway.console import JsonConsole, PlainConsole, duration, printable


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class Broken(io.StringIO):
    """A pipe whose reader has gone."""

    def write(self, text: str) -> int:
        raise BrokenPipeError


def plain(stream: io.StringIO) -> PlainConsole:
    return PlainConsole(prose=stream, output=stream, errors=stream)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(console_module.time, "monotonic", lambda: now[0])
    return now


HOSTILE = {
    "colour": "\x1b[31mred\x1b[0m",
    "clipboard": "\x1b]52;c;ZXZpbA==\x07",
    "link": "\x1b]8;;http://evil.test\x1b\\text\x1b]8;;\x1b\\",
    "title": "\x1b]0;owned\x07",
    "eight bits": "\x9b31m\x9d0;owned\x9c",
    "device control": "\x1bPq#0\x1b\\",
    "reset": "\x1bc",
    "charset": "\x1b(0",
    "carriage return": "safe\revil",
    "backspace": "a\x08b",
    "bell": "\x07",
    "unfinished": "\x1b[38;5",
    "unfinished title": "\x1b]0;abc",
    "delete": "\x7f",
    "report": "\x1b[6n",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_no_escape_sequence_reaches_a_terminal(name: str):
    terminal = Terminal()
    console = plain(terminal)
    console.product(HOSTILE[name])
    console.say(HOSTILE[name])
    console.warn(HOSTILE[name])
    console.fail("Kind", HOSTILE[name], code=2)
    console.table(HOSTILE[name], columns=[HOSTILE[name]], rows=[[HOSTILE[name]]])
    assert not console_module.CONTROL.search(terminal.getvalue())


@given(text=st.text(st.characters(max_codepoint=0x2FF), max_size=60))
def test_no_text_keeps_a_control_character(text: str):
    shown = printable(text)
    assert not console_module.CONTROL.search(shown)
    assert printable(shown) == shown or "\x1b" in text or any("\x80" <= c <= "\x9f" for c in text)


@given(text=st.text("abc é中文😀\n\t[];0m", max_size=60))
def test_ordinary_text_is_shown_as_it_is(text: str):
    assert printable(text) == text


def test_a_product_that_is_piped_keeps_every_character():
    pipe = io.StringIO()
    plain(pipe).product("\x1b[31mred", end="")
    assert pipe.getvalue() == "\x1b[31mred"


def test_a_table_lines_up_under_wide_characters_and_puts_numbers_to_the_right():
    pipe = io.StringIO()
    rows = [("中文", 1234567, None), ("abc", 5, 0.123456)]
    plain(pipe).table("Title", columns=("name", "count", "share"), rows=rows)
    assert pipe.getvalue().splitlines() == [
        "Title",
        "name      count   share",
        "────  ─────────  ──────",
        "中文  1,234,567       –",
        "abc           5  0.1235",
    ]


def test_a_table_may_be_empty():
    pipe = io.StringIO()
    plain(pipe).table("", columns=("a",), rows=[])
    assert pipe.getvalue() == "a\n─\n"


def test_a_live_line_changes_in_place_and_ends_before_the_next_text(clock: list[float]):
    terminal = Terminal()
    console = plain(terminal)
    progress = console.progress("train", total=100)
    progress.update(0, {"loss": 5.0})
    clock[0] = 10.0
    progress.update(50, {"loss": 2.5})
    console.say("done")
    assert terminal.getvalue() == (
        "\rtrain  0/100 steps · loss 5\x1b[K"
        "\rtrain  50/100 steps · loss 2.5 · 10 s left\x1b[K\ndone\n"
    )


def test_without_a_terminal_there_is_a_line_now_and_then_and_one_at_the_end(clock: list[float]):
    pipe = io.StringIO()
    progress = plain(pipe).progress("train", total=100, unit="tokens")
    for done in range(101):
        clock[0] = done / 10
        progress.update(done, {"loss": math.nan})
    assert pipe.getvalue().splitlines() == [
        "train  0/100 tokens · loss nan",
        "train  100/100 tokens · loss nan · 0 s left",
    ]


def test_the_time_left_counts_from_where_a_resumed_run_began(clock: list[float]):
    pipe = io.StringIO()
    progress = plain(pipe).progress("train", total=100)
    progress.update(80)
    clock[0] = 20.0
    progress.update(90)
    assert pipe.getvalue().splitlines()[-1] == "train  90/100 steps · 20 s left"


def test_work_goes_on_when_nobody_reads_the_prose():
    console = plain(Broken())
    console.say("a")
    console.progress("train", total=2).update(1)
    console.fail("Kind", "message", code=1)


def test_work_ends_when_nobody_reads_the_product():
    with pytest.raises(BrokenPipeError):
        plain(Broken()).product("a")


@dataclass(frozen=True)
class Inner:
    path: Path
    value: float


def test_a_program_reads_one_object_a_line(clock: list[float]):
    stream = io.StringIO()
    console = JsonConsole(output=stream)
    console.say("héllo\n\x1b[31m")
    console.warn("careful")
    console.table("T", columns=("a", "b"), rows=[(1, "x")])
    console.product("text", end="")
    console.progress("train", total=2, unit="steps").update(2, {"loss": math.nan})
    console.fail("DataError", "no file", code=3)
    console.emit({"report": Inner(path=Path("a"), value=math.inf)})
    assert stream.getvalue().isascii()
    assert [json.loads(line) for line in stream.getvalue().splitlines()] == [
        {"message": "héllo\n\x1b[31m"},
        {"warning": "careful"},
        {"table": {"title": "T", "rows": [{"a": 1, "b": "x"}]}},
        {"output": "text"},
        {
            "progress": {
                "name": "train",
                "done": 2,
                "total": 2,
                "unit": "steps",
                "seconds_left": None,
                "loss": "nan",
            }
        },
        {"error": {"kind": "DataError", "code": 3, "message": "no file"}},
        {"report": {"path": "a", "value": "inf"}},
    ]


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.4, "0 s"), (59, "59 s"), (187, "3:07 min"), (8100, "2:15 h")]
)
def test_a_duration_is_said_as_people_say_it(seconds: float, said: str):
    assert duration(seconds) == said
