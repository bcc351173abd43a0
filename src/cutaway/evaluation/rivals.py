"""What meets the targets of pairs without having learned to: a copy, a first line, a dictionary."""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import final

from cutaway.text.corpora import Rival
from cutaway.text.pairs import Pair

# What a program fills in (`%(name)s`) is one word, which no dictionary has.
_PIECE = re.compile(r"%\(\w+\)\w|%\w\b|\w+|[^\w\s]")
_JOINED = re.compile(
    "[\u2e80-\u9fff\uff00-\uffef]"
)  # written without spaces: Han, kana, their marks


@final
class Dictionary:
    """Puts what training pairs say of words in their places, the longest known words first.

    Words are sought from left to right, capitals left aside; what is not known stays as it is.
    """

    def __init__(self, pairs: Iterable[Pair]) -> None:
        self._known: dict[tuple[str, ...], str] = {}
        for pair in pairs:
            self._known.setdefault(tuple(_PIECE.findall(pair.source.lower())), pair.target)
        self._longest = max(map(len, self._known), default=0)

    def written_for(self, source: str) -> str:
        """Returns the source with all that is known of it replaced."""
        found = list(_PIECE.finditer(source))
        words = [each[0].lower() for each in found]
        text, place = "", 0
        while place < len(words):
            size, said = self._known_at(words, place)
            piece = found[place][0] if said is None else said
            between = source[found[place - 1].end() : found[place].start()] if place else ""
            if text and (_JOINED.match(text[-1]) or _JOINED.match(piece)):
                between = ""
            text += between + piece
            place += size
        return text

    def _known_at(self, words: Sequence[str], place: int) -> tuple[int, str | None]:
        """How many words from a place on are known, and what they are called; one if none is."""
        for size in range(min(self._longest, len(words) - place), 0, -1):
            said = self._known.get(tuple(words[place : place + size]))
            if said is not None:
                return size, said
        return 1, None


def rival_texts(
    name: Rival, sources: Sequence[str], *, training: Callable[[], Iterable[Pair]]
) -> list[str]:
    """Returns what a rival writes for each source; a dictionary is made of the training pairs."""
    if name == "dictionary":
        dictionary = Dictionary(training())
        return [dictionary.written_for(source) for source in sources]
    if name == "lead":
        return [source.split("\n")[0] for source in sources]
    return list(sources)
