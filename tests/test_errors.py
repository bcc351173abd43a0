"""What every error promises: its exit code, and at most six lines."""

import pytest

from cutaway import errors
from cutaway.errors import CutawayError

CODES = {
    "CutawayError": 1,
    "UsageError": 2,
    "ConfigError": 2,
    "DataError": 3,
    "CheckpointError": 4,
    "ResourceError": 5,
    "Stopped": 75,
}


def test_every_error_has_the_documented_exit_code():
    found = {
        name: kind.exit_code
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, Exception)
    }
    assert found == CODES


@pytest.mark.parametrize("lines", [1, 6, 7, 500])
def test_no_message_is_longer_than_six_lines(lines: int):
    message = str(CutawayError("\n".join(f"line {number}" for number in range(lines))))
    assert len(message.splitlines()) == min(lines, 6)


def test_a_long_message_says_how_much_was_left_out():
    message = str(CutawayError("\n".join("abcdefgh")))
    assert message.splitlines() == ["a", "b", "c", "d", "e", "(and 3 more lines)"]


def test_an_error_without_words_still_says_its_name():
    assert str(errors.DataError("  \n ")) == "DataError"
