"""What the tests of the stages share: a console that remembers what it was told."""

from collections.abc import Mapping, Sequence

import pytest

from cutaway.console import Console, Progress


class Listener(Console):
    """Keeps everything that a stage says, as lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    @property
    def text(self) -> str:
        """All lines."""
        return "\n".join(self.lines)

    def say(self, text: str) -> None:
        self.lines.append(text)

    def warn(self, text: str) -> None:
        self.lines.append(f"warning: {text}")

    def fail(self, kind: str, message: str, *, code: int) -> None:
        self.lines.append(f"error {code}: {message}")

    def table(
        self, title: str, *, columns: Sequence[str], rows: Sequence[Sequence[object]]
    ) -> None:
        self.lines += [title, " ".join(columns), *(" ".join(map(str, row)) for row in rows)]

    def paint(self, pieces: Sequence[tuple[str, str]]) -> None:
        self.lines.append("".join(text for text, _ in pieces))

    def product(self, text: str, *, end: str = "\n") -> None:
        self.lines.append(text)

    def progress(self, name: str, *, total: float, unit: str = "steps") -> Progress:
        return _Silent()


class _Silent(Progress):
    def update(self, done: float, shown: Mapping[str, object] = {}) -> None:
        pass


@pytest.fixture
def console() -> Listener:
    return Listener()
