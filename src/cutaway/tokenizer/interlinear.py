"""Text with its ids below it, line by line, and a mark under what is learned from."""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from cutaway.tokenizer.base import Tokenizer
from cutaway.tokenizer.report import visible

Kind = Literal["token", "control", "id", "learned", "space"]


@dataclass(frozen=True, kw_only=True)
class Span:
    """A piece of a line and what it is, so that it can be given a colour."""

    text: str
    """What is printed."""
    kind: Kind
    """A token, a control token, an id, a token that is learned from, or what stands between."""


def interlinear(
    tokenizer: Tokenizer, ids: Sequence[int], *, learned: Sequence[bool], width: int
) -> Iterator[list[Span]]:
    """Yields lines of at most `width` places: tokens, and their ids below.

    Where not all is learned from, `=` stands below what is.
    """
    control = set(tokenizer.special.values())
    is_marked = not all(learned)
    cells: list[_Cell] = []
    for token_id, is_learned in zip(ids, learned, strict=True):
        cell = _Cell(
            visible(tokenizer, token_id), token_id, token_id in control, is_marked and is_learned
        )
        if cells and sum(cell.width + 1 for cell in cells) + cell.width > width:
            yield from _block(cells)
            cells = []
        cells.append(cell)
    if cells:
        yield from _block(cells)


@dataclass(frozen=True)
class _Cell:
    token: str
    token_id: int
    is_control: bool
    is_learned: bool

    @property
    def width(self) -> int:
        return max(places(self.token), len(str(self.token_id)))


def _block(cells: Sequence[_Cell]) -> Iterator[list[Span]]:
    tokens: list[Span] = []
    for cell in cells:
        kind: Kind = "learned" if cell.is_learned else "control" if cell.is_control else "token"
        tokens += [Span(text=cell.token, kind=kind), _space(cell.width - places(cell.token) + 1)]
    yield tokens
    yield [Span(text=f"{cell.token_id:<{cell.width + 1}}", kind="id") for cell in cells]
    if any(cell.is_learned for cell in cells):
        marks = (("=" if cell.is_learned else " ") * cell.width + " " for cell in cells)
        yield [Span(text=mark, kind="learned") for mark in marks]
    yield []


def _space(width: int) -> Span:
    return Span(text=" " * width, kind="space")


def places(text: str) -> int:
    """Counts the places that a text takes on a terminal: two for a Chinese character."""
    return sum(
        0
        if unicodedata.combining(character)
        else 1 + (unicodedata.east_asian_width(character) in "WF")
        for character in text
    )
