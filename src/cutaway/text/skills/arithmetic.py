"""Addition and subtraction, column by column, as children learn it."""

import random
from collections.abc import Sequence
from functools import cache

from cutaway.text.documents import Split, split_of
from cutaway.text.skills.base import Example, Score, Skill, dialogue, same_last_line

Pair = tuple[int, int]

HELD_OUT = 0.1  # share of the pairs of numbers

_ADD = (
    "What is {} + {}?",
    "{} + {}",
    "{} + {} = ?",
    "Add {} and {}.",
    "Calculate {} + {}.",
    "How much is {} + {}?",
    "What is {} plus {}?",
    "What is the sum of {} and {}?",
)
_SUBTRACT = (
    "What is {} - {}?",
    "{} - {}",
    "{} - {} = ?",
    "Calculate {} - {}.",
    "How much is {} - {}?",
    "What is {} minus {}?",
    "What is left when you take {1} from {0}?",
)


class Addition(Skill[Pair]):
    """Adds two numbers of up to three digits, column by column.

    Held out are pairs of two-digit numbers: training sees neither their sum, in either order, nor
    their difference.
    """

    name = "addition"

    def score(self, example: Example, answer: str) -> Score:
        """Is right when the last line is the sum."""
        return same_last_line(example, answer)

    def baseline(self, example: Example) -> str:
        """Adds column by column and forgets what is carried."""
        first, second = _numbers(example.key)
        return str(first // 10 + second // 10) + str((first + second) % 10)

    def _draw(self, randomness: random.Random) -> Pair:
        return _draw_pair(randomness)

    def _held_out(self) -> Sequence[Pair]:
        return pairs_of_two_digits("validation")

    def _example(self, item: Pair, split: Split, randomness: random.Random) -> Example:
        first, second = item if randomness.random() < 0.5 else item[::-1]
        asked = randomness.choice(_ADD).format(first, second)
        return dialogue(asked, _added(first, second), key=pair_key(*item))


class Subtraction(Skill[Pair]):
    """Takes the smaller of two numbers from the larger; pairs and split are addition's."""

    name = "subtraction"

    def score(self, example: Example, answer: str) -> Score:
        """Is right when the last line is the difference."""
        return same_last_line(example, answer)

    def baseline(self, example: Example) -> str:
        """Takes the smaller digit from the larger in each column and forgets what is borrowed."""
        first, second = _numbers(example.key)
        tens, units = abs(first // 10 - second // 10), abs(first % 10 - second % 10)
        return str(10 * tens + units)

    def _draw(self, randomness: random.Random) -> Pair:
        return _draw_pair(randomness)

    def _held_out(self) -> Sequence[Pair]:
        return pairs_of_two_digits("validation")

    def _example(self, item: Pair, split: Split, randomness: random.Random) -> Example:
        small, large = sorted(item)
        asked = randomness.choice(_SUBTRACT).format(large, small)
        return dialogue(asked, _subtracted(large, small), key=pair_key(*item))


def pair_key(first: int, second: int) -> str:
    """Names a pair of numbers, whatever their order."""
    return f"{min(first, second)},{max(first, second)}"


def pair_split(first: int, second: int) -> Split:
    """Returns the split of a pair; those of single digits, which all others need, are trained."""
    if max(first, second) < 10:
        return "train"
    return split_of(pair_key(first, second), held_out=HELD_OUT, salt="pair")


def _numbers(key: str) -> Pair:
    small, large = key.split(",")
    return int(large), int(small)


def _draw_pair(randomness: random.Random) -> Pair:
    kind = randomness.random()
    if kind < 0.1:
        return randomness.randrange(10), randomness.randrange(10)
    if kind < 0.8:
        return randomness.choice(pairs_of_two_digits("train"))
    while True:
        first, second = randomness.randrange(1, 1000), randomness.randrange(1, 1000)
        if pair_split(first, second) == "train":
            return first, second


@cache
def pairs_of_two_digits(split: Split) -> Sequence[Pair]:
    """Returns the pairs of numbers from 10 to 99 of a split, the smaller number first."""
    return tuple(
        (first, second)
        for first in range(10, 100)
        for second in range(first, 100)
        if pair_split(first, second) == split
    )


def _added(first: int, second: int) -> str:
    lines: list[str] = []
    carried = 0
    for upper, lower in _columns(first, second):
        total = upper + lower + carried
        lines.append(f"{upper} + {lower}" + (" + 1" if carried else "") + f" = {total}")
        carried = total // 10
    return "\n".join([*lines, str(first + second)])


def _subtracted(large: int, small: int) -> str:
    lines: list[str] = []
    borrowed = 0
    for upper, lower in _columns(large, small):
        owed = lower + borrowed
        available = upper + 10 if upper < owed else upper
        less = " - 1" if borrowed else ""
        lines.append(f"{available} - {lower}{less} = {available - owed}")
        borrowed = 1 if upper < owed else 0
    return "\n".join([*lines, str(large - small)])


def _columns(first: int, second: int) -> Sequence[Pair]:
    """Pairs the digits of two numbers, units first; what a number lacks counts as 0."""
    width = len(str(max(first, second)))
    upper, lower = f"{first:0{width}d}", f"{second:0{width}d}"
    return [(int(a), int(b)) for a, b in zip(reversed(upper), reversed(lower), strict=True)]
