"""A report card as a file, so that its page can be written again, with other minutes say."""

from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from cutaway.durable import write_file
from cutaway.errors import DataError
from cutaway.evaluation.report.card import ReportCard

FILE_NAME = "evaluation.json"
"""Stands in the run folder; holds every question and every answer."""


def keep(card: ReportCard, folder: Path) -> Path:
    """Writes a card into a run folder."""
    path = folder / FILE_NAME
    write_file(path, TypeAdapter(ReportCard).dump_json(card, indent=1) + b"\n")
    return path


def kept(folder: Path) -> ReportCard:
    """Reads the card of a run folder.

    Raises:
        DataError: There is none, or it is not what `keep` writes.
    """
    path = folder / FILE_NAME
    try:
        return TypeAdapter(ReportCard).validate_json(path.read_bytes())
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror}\nevaluate the run first"
        ) from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise DataError(f"{path}: {place}: {first['msg']}\nevaluate the run again") from error
