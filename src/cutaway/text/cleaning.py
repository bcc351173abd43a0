"""What is done to documents before training: one Unicode form, no duplicates, lengths in bounds."""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from hashlib import blake2b

from cutaway.errors import ConfigError
from cutaway.text.documents import Document
from cutaway.text.json_files import unix_line_ends

# All but tab and line feed: terminal colours, form feeds and their kin say nothing.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True, kw_only=True)
class Rules:
    """Which documents are kept."""

    least_characters: int = 1
    """Shorter documents are left out; characters, 0 or more."""
    most_characters: int | None = None
    """Longer documents are left out; characters; None: no limit."""

    def __post_init__(self) -> None:
        most = self.most_characters
        if self.least_characters < 0 or (most is not None and most < self.least_characters):
            raise ConfigError(
                f"documents of {self.least_characters} to {most} characters cannot be\n"
                "Give least_characters from 0, and most_characters not below it."
            )


class Cleaner:
    """Cleans documents as they pass, and counts what it leaves out."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._seen: set[bytes] = set()
        self.num_kept = 0
        """Documents passed on so far."""
        self.num_duplicates = 0
        """Documents left out because an equal one came before."""
        self.num_too_short = 0
        """Documents left out for being short."""
        self.num_too_long = 0
        """Documents left out for being long."""

    def clean(self, documents: Iterable[Document]) -> Iterator[Document]:
        """Yields the documents that the rules keep, normalised, each text once; keys stay."""
        least, most = self._rules.least_characters, self._rules.most_characters
        for document in documents:
            text = normalised(document.text)
            if len(text) < least:
                self.num_too_short += 1
            elif most is not None and len(text) > most:
                self.num_too_long += 1
            elif _is_seen(text, self._seen):
                self.num_duplicates += 1
            else:
                self.num_kept += 1
                yield replace(document, text=text)


def normalised(text: str) -> str:
    """Gives a text its composed Unicode form (NFC), line feeds alone, and no control characters."""
    return _CONTROLS.sub("", unix_line_ends(unicodedata.normalize("NFC", text)))


def unique(documents: Iterable[Document]) -> Iterator[Document]:
    """Yields each text once, at its first place; texts are compared exactly, by their hashes."""
    seen: set[bytes] = set()
    return (document for document in documents if not _is_seen(document.text, seen))


def _is_seen(text: str, seen: set[bytes]) -> bool:
    """Says whether a text came before, and remembers it in 16 bytes."""
    digest = blake2b(text.encode(), digest_size=16).digest()
    if digest in seen:
        return True
    seen.add(digest)
    return False
