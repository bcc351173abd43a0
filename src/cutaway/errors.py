"""What a user can do wrong or meet, each with the exit code of the command line."""

MOST_LINES = 6


class CutawayError(Exception):
    """A failure told in at most six lines: what was given, what is allowed and what to do."""

    exit_code = 1

    def __init__(self, message: str) -> None:
        lines = message.strip().splitlines() or [type(self).__name__]
        if len(lines) > MOST_LINES:
            left_out = len(lines) - (MOST_LINES - 1)
            lines = [*lines[: MOST_LINES - 1], f"(and {left_out} more lines)"]
        super().__init__("\n".join(lines))


class UsageError(CutawayError):
    """The command line was wrong: an unknown verb, a missing argument, a folder in the way."""

    exit_code = 2


class ConfigError(UsageError, ValueError):
    """A recipe or a `key=value` gives something that the config of the stage does not allow.

    A ValueError too, so that a config's own check is told with the file and line of its value.
    """

    exit_code = 2


class DataError(CutawayError):
    """Data is missing, unreadable, or not what it claims to be."""

    exit_code = 3


class CheckpointError(CutawayError):
    """A checkpoint is missing, damaged, of another shape, or held by another process."""

    exit_code = 4


class ResourceError(CutawayError):
    """The machine has too little memory, disk, or time for what was asked."""

    exit_code = 5


class Stopped(CutawayError):
    """The work was stopped on purpose and saved; the same command goes on from there."""

    exit_code = 75
