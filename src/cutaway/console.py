"""What a verb says while it works: prose, tables, one live line, and its product; or JSON lines.

A verb's product (a continuation, a report for machines) goes to standard output, and then all else
goes to standard error. Nothing that a model or a file says can steer the terminal.
"""

import contextlib
import dataclasses
import io
import json
import math
import re
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol, runtime_checkable

from cutaway.errors import Stopped

SEQUENCE = re.compile(
    # colours and moves of the cursor; then titles, links and the clipboard; then all others
    "(?:\x1b\\[|\x9b)[0-9;:<=>?]{0,64}[ -/]{0,8}[@-~]"
    "|(?:\x1b[]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]{0,4096}(?:\x07|\x1b\\\\|\x9c)"
    "|\x1b[ -/]{0,8}[0-~]"
)
"""A whole escape sequence; each repetition is bounded, so that no text takes long."""

CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")

PLAIN_INTERVAL = 10.0
"""Seconds between two progress lines where there is no terminal."""

LIVE_INTERVAL = 0.1
"""Seconds between two states of the live line."""


def printable(text: str) -> str:
    """The text without escape sequences and control characters; new lines and tabs stay."""
    return CONTROL.sub("", SEQUENCE.sub("", text))


def duration(seconds: int | float) -> str:
    """A time as a person reads it: `42 s`, `3:07 min`, `2:15 h`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02} min"
    return f"{whole // 3600}:{whole % 3600 // 60:02} h"


@runtime_checkable
class Stream(Protocol):
    """What a console needs of standard output."""

    def write(self, text: str, /) -> int:
        """Adds text."""

    def flush(self) -> None:
        """Hands it on at once."""

    def isatty(self) -> bool:
        """Whether a terminal reads it."""


class Progress(ABC):
    """The state of work under way, shown anew as it goes."""

    @abstractmethod
    def update(self, done: int | float, shown: Mapping[str, object] = MappingProxyType({})) -> None:
        """Says how much of the total is done, and other figures by name."""


class Console(ABC):
    """Where a stage says what it does."""

    @abstractmethod
    def say(self, text: str) -> None:
        """A line of prose."""

    @abstractmethod
    def warn(self, text: str) -> None:
        """A line of prose that must not be missed."""

    @abstractmethod
    def fail(self, kind: str, message: str, *, code: int) -> None:
        """Why the verb ends here, and its exit code."""

    @abstractmethod
    def table(
        self, title: str, *, columns: Sequence[str], rows: Sequence[Sequence[object]]
    ) -> None:
        """A table; numbers stand to the right."""

    @abstractmethod
    def paint(self, pieces: Sequence[tuple[str, str]]) -> None:
        """A line in pieces, each with its style on a terminal (`bold green`; empty: none)."""

    @abstractmethod
    def product(self, text: str, *, end: str = "\n") -> None:
        """A piece of what the verb was asked for, on standard output."""

    @abstractmethod
    def progress(self, name: str, *, total: int | float, unit: str = "steps") -> Progress:
        """Begins a live line; the next thing said ends it."""


@dataclass(kw_only=True)
class PlainConsole(Console):
    """Prose and tables for a person: one live line on a terminal, plain lines elsewhere."""

    prose: Stream
    """Standard error where the product has standard output to itself."""

    output: Stream
    errors: Stream
    _live: bool = field(default=False, init=False)
    """Whether the cursor stands behind a live line."""

    _broken: bool = field(default=False, init=False)
    """Whether the reader of the prose has gone."""

    def say(self, text: str) -> None:
        """A line of prose."""
        self._write(printable(text) + "\n")

    def warn(self, text: str) -> None:
        """A line that begins with `warning`."""
        self.say(f"warning: {text}")

    def fail(self, kind: str, message: str, *, code: int) -> None:
        """The message, on standard error; to have been stopped is no error."""
        self._end_live_line()
        begin = "" if code == Stopped.exit_code else "error: "
        with contextlib.suppress(BrokenPipeError):
            self.errors.write(f"{begin}{printable(message)}\n")
            self.errors.flush()

    def table(
        self, title: str, *, columns: Sequence[str], rows: Sequence[Sequence[object]]
    ) -> None:
        """Columns as wide as they must be; a Chinese character takes two places."""
        from rich.cells import cell_len  # slow to import, and no help text needs it

        cells = [list(columns), *([_cell(value) for value in row] for row in rows)]
        cells = [[printable(cell).replace("\n", " ") for cell in row] for row in cells]
        widths = [max(map(cell_len, column)) for column in zip(*cells, strict=True)]
        numeric = [
            all(row[at] is None or isinstance(row[at], int | float) for row in rows)
            for at in range(len(columns))
        ]
        lines = [printable(title)] if title else []
        for row in cells:
            padded = []
            for cell, width, is_number in zip(row, widths, numeric, strict=True):
                space = " " * (width - cell_len(cell))
                padded.append(space + cell if is_number else cell + space)
            lines.append("  ".join(padded).rstrip())
        lines.insert(1 + bool(title), "  ".join("─" * width for width in widths))
        self._write("\n".join(lines) + "\n")

    def paint(self, pieces: Sequence[tuple[str, str]]) -> None:
        """The line, in colour where a terminal has colours."""
        line = [(printable(text), style) for text, style in pieces]
        if not self.prose.isatty():
            self._write("".join(text for text, _ in line).rstrip() + "\n")
            return
        import rich.console
        import rich.text

        painted = io.StringIO()
        painter = rich.console.Console(
            file=painted, force_terminal=True, highlight=False, soft_wrap=True
        )
        painter.print(rich.text.Text.assemble(*line))
        self._write(painted.getvalue())

    def product(self, text: str, *, end: str = "\n") -> None:
        """The text itself; without control characters where a terminal would obey them."""
        self._end_live_line()
        self.output.write((printable(text) if self.output.isatty() else text) + end)
        self.output.flush()

    def progress(self, name: str, *, total: int | float, unit: str = "steps") -> Progress:
        """A line that changes in place on a terminal, and a line now and then elsewhere."""
        return _PlainProgress(console=self, name=name, total=total, unit=unit)

    def show_live(self, line: str) -> None:
        """Puts a line in the place of the live one."""
        if self.is_live():
            width = _terminal_width() - 1
            self._live = True
            self._emit("\r" + printable(line)[:width] + "\x1b[K")
        else:
            self._write(printable(line) + "\n")

    def is_live(self) -> bool:
        """Whether lines can change in place."""
        return self.prose.isatty()

    def _write(self, text: str) -> None:
        self._end_live_line()
        self._emit(text)

    def _end_live_line(self) -> None:
        if self._live:
            self._live = False
            self._emit("\n")

    def _emit(self, text: str) -> None:
        # Work of hours does not end because nobody listens any more.
        if not self._broken:
            try:
                self.prose.write(text)
                self.prose.flush()
            except BrokenPipeError:
                self._broken = True


@dataclass(kw_only=True)
class JsonConsole(Console):
    """One JSON object a line on standard output, for programs."""

    output: Stream

    def say(self, text: str) -> None:
        """`{"message": ...}`."""
        self.emit({"message": text})

    def warn(self, text: str) -> None:
        """`{"warning": ...}`."""
        self.emit({"warning": text})

    def fail(self, kind: str, message: str, *, code: int) -> None:
        """`{"error": {"kind": ..., "code": ..., "message": ...}}`."""
        with contextlib.suppress(BrokenPipeError):
            self.emit({"error": {"kind": kind, "code": code, "message": message}})

    def table(
        self, title: str, *, columns: Sequence[str], rows: Sequence[Sequence[object]]
    ) -> None:
        """`{"table": {"title": ..., "rows": [{column: value}]}}`."""
        records = [dict(zip(columns, row, strict=True)) for row in rows]
        self.emit({"table": {"title": title, "rows": records}})

    def paint(self, pieces: Sequence[tuple[str, str]]) -> None:
        """`{"message": ...}`, without colours."""
        self.say("".join(text for text, _ in pieces))

    def product(self, text: str, *, end: str = "\n") -> None:
        """`{"output": ...}`, with the end that a person would see."""
        self.emit({"output": text + end})

    def progress(self, name: str, *, total: int | float, unit: str = "steps") -> Progress:
        """`{"progress": {"name": ..., "done": ..., "total": ..., ...}}` now and then."""
        return _JsonProgress(console=self, name=name, total=total, unit=unit)

    def emit(self, record: Mapping[str, object]) -> None:
        """One line; ASCII, so that no terminal takes a character for a command."""
        self.output.write(json.dumps(_plain(record), allow_nan=False) + "\n")
        self.output.flush()


@dataclass(kw_only=True)
class _Clock:
    """When the line was last shown, and how fast the work goes since this process began it."""

    begun: tuple[float, int | float] | None = None
    shown: float = -math.inf

    def is_due(self, done: int | float, *, interval: float, is_last: bool) -> bool:
        now = time.monotonic()
        if self.begun is None:
            self.begun = (now, done)
        if now - self.shown < interval and not is_last:
            return False
        self.shown = now
        return True

    def left(self, done: int | float, total: int | float) -> float | None:
        """Seconds to the end at the speed so far; nothing is known before the first progress."""
        if self.begun is None or done <= self.begun[1]:
            return None
        speed = (done - self.begun[1]) / max(time.monotonic() - self.begun[0], 1e-9)
        return max(0.0, (total - done) / speed)


@dataclass(kw_only=True)
class _PlainProgress(Progress):
    console: PlainConsole
    name: str
    total: int | float
    unit: str
    _clock: _Clock = field(default_factory=_Clock, init=False)

    def update(self, done: int | float, shown: Mapping[str, object] = MappingProxyType({})) -> None:
        """The line, when the last one is old enough, and always at the end."""
        interval = LIVE_INTERVAL if self.console.is_live() else PLAIN_INTERVAL
        if self._clock.is_due(done, interval=interval, is_last=done >= self.total):
            figures = [f"{name} {_figure(value)}" for name, value in shown.items()]
            parts = [f"{_figure(done)}/{_figure(self.total)} {self.unit}", *figures]
            left = self._clock.left(done, self.total)
            if left is not None:
                parts.append(f"{duration(left)} left")
            self.console.show_live(f"{self.name}  " + " · ".join(parts))


@dataclass(kw_only=True)
class _JsonProgress(Progress):
    console: JsonConsole
    name: str
    total: int | float
    unit: str
    _clock: _Clock = field(default_factory=_Clock, init=False)

    def update(self, done: int | float, shown: Mapping[str, object] = MappingProxyType({})) -> None:
        """The figures as they are."""
        if self._clock.is_due(done, interval=PLAIN_INTERVAL, is_last=done >= self.total):
            record = {"name": self.name, "done": done, "total": self.total, "unit": self.unit}
            left = self._clock.left(done, self.total)
            self.console.emit({"progress": {**record, "seconds_left": left, **shown}})


def _figure(value: object) -> str:
    """A number as a person reads it; a number that is not finite is shown as what it is."""
    match value:
        case bool() | str():
            return str(value)
        case int():
            return f"{value:,}"
        case float() if math.isfinite(value) and value.is_integer() and abs(value) < 2**53:
            return f"{int(value):,}"
        case float() if abs(value) >= 1000:
            return f"{value:,.0f}"
        case float():
            return f"{value:.4g}"
    return str(value)


def _cell(value: object) -> str:
    return "–" if value is None else _figure(value)


def _plain(value: object) -> object:
    """A value as JSON can hold it: tables, lists, texts and finite numbers."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case Mapping():
            return {str(key): _plain(inner) for key, inner in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_plain(inner) for inner in value]
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            names = [field.name for field in dataclasses.fields(value)]
            return {name: _plain(getattr(value, name)) for name in names}
    return str(value)


def _terminal_width() -> int:
    return shutil.get_terminal_size().columns
