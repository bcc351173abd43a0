"""Toy tasks of closed form: a question and its only answer, as ids."""

from collections.abc import Callable

import torch
from torch import Tensor

ANSWER, LETTERS, MONTHS = 0, 8, 12
"""The id that asks for the answer, ids of letters (1 to 8), and months."""

LENGTH = 5
"""Letters of a word."""

Examples = tuple[Tensor, int]
"""Rows of ids, and the place at which the answer begins."""


def copying(count: int, *, generator: torch.Generator) -> Examples:
    """Draws words and asks for the same again."""
    words = torch.randint(1, LETTERS + 1, (count, LENGTH), generator=generator)
    return _joined(words, words), LENGTH + 1


def reversing(count: int, *, generator: torch.Generator) -> Examples:
    """Draws words and asks for them from behind."""
    words = torch.randint(1, LETTERS + 1, (count, LENGTH), generator=generator)
    return _joined(words, words.flip(1)), LENGTH + 1


def dating(count: int, *, generator: torch.Generator) -> Examples:
    """Draws dates as day, month by name, year, and asks for year, month in digits, day."""
    day, month, year = (
        torch.randint(first, end, (count,), generator=generator)
        for first, end in ((1, 29), (1, MONTHS + 1), (0, 100))
    )

    def digits(number: Tensor) -> list[Tensor]:
        return [1 + number // 10, 1 + number % 10]

    names = 10 + month
    question = torch.stack([*digits(day), names, *digits(year)], dim=1)
    answer = torch.stack([*digits(year), *digits(month), *digits(day)], dim=1)
    return _joined(question, answer), question.shape[1] + 1


TASKS: dict[str, Callable[..., Examples]] = {
    "copying": copying,
    "reversing": reversing,
    "dating": dating,
}
VOCABULARY = 11 + MONTHS
"""Ids of the largest task: the sign, ten digits, twelve months."""


def _joined(question: Tensor, answer: Tensor) -> Tensor:
    return torch.cat([question, torch.full((len(question), 1), ANSWER), answer], dim=1)
